"""percent is a claim about time: within 10 points of the truth, never falling, at most 99."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.jobs.estimate import Estimator
from lofi_daemon.jobs.timings import Forecast, Timings
from tests.jobs.simulation import SimulatedClock, TruePhase, run_job, worst_claim

JOBS = list(itertools.product((5, 60, 240), (5, 60)))  # seconds of music, steps


def workload(duration_sec: float, steps: int, *, loaded: bool = False) -> dict[Phase, float]:
    """A model whose step has a fixed cost and grows faster than linearly with the length."""
    step = 0.05 + 0.01 * duration_sec + 1e-5 * duration_sec**2
    work = {
        Phase.LOADING: 2.0,
        Phase.ENCODING: 0.3,
        Phase.DIFFUSING: steps * step,
        Phase.DECODING: 0.1 + 0.06 * duration_sec,
        Phase.WRITING: 0.006 * duration_sec,
    }
    if loaded:
        del work[Phase.LOADING]
    return work


def truth(
    work: dict[Phase, float],
    duration_sec: float,
    steps: int,
    speed: float,
    ratios: dict[Phase, float] | None = None,
) -> dict[Phase, TruePhase]:
    """What the work takes on a machine of another speed, some phases in another proportion."""
    pieces = {
        Phase.LOADING: 5,
        Phase.DIFFUSING: steps,
        Phase.DECODING: max(1, round(duration_sec / 10)),
    }
    return {
        phase: TruePhase(seconds * speed * (ratios or {}).get(phase, 1.0), pieces.get(phase, 1))
        for phase, seconds in work.items()
    }


@pytest.mark.parametrize(("duration_sec", "steps"), JOBS)
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_first_job_on_an_unknown_machine(duration_sec: int, steps: int, speed: float) -> None:
    work = workload(duration_sec, steps)
    off, at, claimed = worst_claim(
        run_job(Timings(), work, truth(work, duration_sec, steps, speed))
    )
    assert off <= 10, f"{claimed} % claimed at {at:.1f} %"


@pytest.mark.parametrize("speed", [0.75, 1.0, 1.5])
def test_jobs_of_every_size_after_learning(speed: float) -> None:
    """The model's own proportions were wrong by factors; a run of each size puts them right."""
    ratios = {Phase.LOADING: 0.3, Phase.ENCODING: 5.0, Phase.DECODING: 3.0}
    timings = Timings()
    for duration_sec, steps in JOBS:
        work = workload(duration_sec, steps)
        list(run_job(timings, work, truth(work, duration_sec, steps, 1.0, ratios)))
    for duration_sec, steps in JOBS:
        work = workload(duration_sec, steps)
        claims = run_job(
            timings, work, truth(work, duration_sec, steps, speed, ratios), learn=False
        )
        off, at, claimed = worst_claim(claims)
        assert off <= 10, f"{duration_sec} s, {steps} steps: {claimed} % claimed at {at:.1f} %"


def test_a_job_of_one_phase_that_was_forecast() -> None:
    """Phases that nobody forecast come before it."""
    true = {Phase.DIFFUSING: TruePhase(0.01, 1), Phase.DECODING: TruePhase(2.0, 1)}
    off, at, claimed = worst_claim(run_job(Timings(), {Phase.DECODING: 2.0}, true))
    assert off <= 10, f"{claimed} % claimed at {at:.1f} %"


def test_pieces_of_unequal_cost() -> None:
    """Guidance doubles the middle half of the steps; the fraction of time says so."""
    work = workload(60, 40, loaded=True)
    costs = (1.0,) * 10 + (2.0,) * 20 + (1.0,) * 10
    true = truth(work, 60, 40, 3.0)
    true[Phase.DIFFUSING] = TruePhase(true[Phase.DIFFUSING].seconds, 40, costs)
    off, at, claimed = worst_claim(run_job(Timings(), work, true))
    assert off <= 10, f"{claimed} % claimed at {at:.1f} %"


@pytest.mark.parametrize("windows", [(1.0,), (0.02, 0.98), (1.0, 1.0), (1.0,) * 7])
@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1])
def test_a_phase_reported_in_percent_but_done_in_few_windows(
    windows: tuple[float, ...], speed: float
) -> None:
    work = {Phase.ENCODING: 1.0, Phase.DECODING: 10.0}
    timings = Timings()
    timings.learn("tone", "1", work, work)
    true = {
        Phase.ENCODING: TruePhase(1.0),
        Phase.DECODING: TruePhase(10.0 * speed, len(windows), windows, percentage=True),
    }
    off, at, claimed = worst_claim(run_job(timings, work, true))
    assert off <= 10, f"{claimed} % claimed at {at:.1f} %"


def test_a_phase_that_takes_far_longer_than_forecast_never_seems_done() -> None:
    clock = SimulatedClock()
    progress = Estimator({Phase.DECODING: Forecast(1.0, learnt=True)}, 0, clock)
    progress.update(PhaseProgress(Phase.DECODING, 0, 1, 0.0))
    clock.now += 100.0
    state = progress.estimate()
    assert state.percent < 90
    assert state.eta_sec > 10.0


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(list(Phase)), st.tuples(st.floats(1e-6, 1e4), st.integers(1, 9)), min_size=1
    ),
    st.dictionaries(st.sampled_from(list(Phase)), st.floats(1e-6, 1e4)),
)
def test_percent_never_falls_and_stays_within_0_and_99(
    phases: dict[Phase, tuple[float, int]], work: dict[Phase, float]
) -> None:
    """Whatever the forecast said, and whatever phases come, forecast or not."""
    ordered = {p: TruePhase(*phases[p]) for p in Phase if p in phases}
    percents = [claim.percent for _, claim in run_job(Timings(), work, ordered, samples=50)]
    assert percents == sorted(percents)
    assert percents[0] >= 0
    assert percents[-1] <= 99


@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("learnt", [False, True])
def test_phases_that_take_turns_are_both_waited_for(slower: float, learnt: bool) -> None:
    """Tokens in eight turns, and a window of the codec after each."""
    turns, tokens, tokens_sec, window_sec = 8, 200, 2.0, 0.5
    truth = {
        Phase.DECODING_TOKENS: turns * tokens_sec * slower,
        Phase.DECODING: turns * window_sec * slower,
    }
    told = truth if learnt else {phase: seconds / slower for phase, seconds in truth.items()}
    clock = SimulatedClock()
    forecast = {phase: Forecast(seconds, learnt=learnt) for phase, seconds in told.items()}
    estimator = Estimator(forecast, turns * tokens, clock)
    total = sum(truth.values())
    begin = clock.now
    for turn in range(turns):
        for token in range(1, tokens + 1):
            clock.now += tokens_sec * slower / tokens
            done, all_of_them = tokens * turn + token, tokens * turns
            share = done / all_of_them
            estimator.update(PhaseProgress(Phase.DECODING_TOKENS, done, all_of_them, share))
        estimator.update(PhaseProgress(Phase.DECODING, turn, turns, turn / turns))
        clock.now += window_sec * slower
        estimator.update(PhaseProgress(Phase.DECODING, turn + 1, turns, (turn + 1) / turns))
        left = total - (clock.now - begin)
        claimed = estimator.estimate()
        if turn > 0:
            assert claimed.eta_sec == pytest.approx(left, abs=0.05 * total)
        assert claimed.step == tokens * (turn + 1)
    estimator.finish()
    # the first token of a turn ends what was before it
    assert estimator.measured == pytest.approx(truth | {Phase.ENCODING: 0.0}, abs=0.01 * total)
