"""Jobs that take no time: phases with true durations, run against a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.jobs.estimate import Estimate, Estimator
from lofi_daemon.jobs.timings import Timings


@dataclass(frozen=True)
class TruePhase:
    """What a phase really takes, in how many pieces it is reported, and their relative costs.

    A percentage is reported as so many of 100, whatever the pieces are.
    """

    seconds: float
    pieces: int = 1
    costs: tuple[float, ...] | None = None
    percentage: bool = False

    def pieces_sec(self) -> list[float]:
        costs = self.costs or (1.0,) * self.pieces
        return [self.seconds * cost / sum(costs) for cost in costs]


class SimulatedClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run_job(
    timings: Timings,
    workload: Mapping[Phase, float],
    truth: Mapping[Phase, TruePhase],
    *,
    samples: int = 400,
    learn: bool = True,
) -> Iterator[tuple[float, Estimate]]:
    """(true percent, what was claimed) at `samples` moments and after every piece."""
    clock = SimulatedClock()
    steps = truth[Phase.DIFFUSING].pieces if Phase.DIFFUSING in truth else 0
    progress = Estimator(timings.forecast("tone", "1", workload), steps, clock)
    begin = clock.now
    total = sum(phase.seconds for phase in truth.values())
    tick = total / samples

    def claim() -> tuple[float, Estimate]:
        return 100.0 * (clock.now - begin) / total, progress.estimate()

    for phase, true in truth.items():
        pieces = true.pieces_sec()
        total_pieces = 100 if true.percentage else len(pieces)
        progress.update(PhaseProgress(phase, 0, total_pieces, 0.0))
        yield claim()
        for done, seconds in enumerate(pieces, start=1):
            end = clock.now + seconds
            while clock.now + tick < end:
                clock.now += tick
                yield claim()
            clock.now = end
            share = sum(pieces[:done]) / true.seconds
            reported = round(100 * share) if true.percentage else done
            progress.update(PhaseProgress(phase, reported, total_pieces, share))
            yield claim()
    progress.finish()
    if learn:
        timings.learn("tone", "1", workload, progress.measured)


def worst_claim(claims: Iterator[tuple[float, Estimate]]) -> tuple[float, float, int]:
    """(points off, true percent, claimed percent) where the claim was furthest from the truth."""
    return max((abs(truth - claimed.percent), truth, claimed.percent) for truth, claimed in claims)
