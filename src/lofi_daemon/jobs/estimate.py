"""How far a job is, as a share of its time.

Each phase has a forecast in seconds. What is measured while the job runs corrects it: finished
pieces of the running phase stand for the rest of that phase, and the ratio of measured to
forecast time so far stands for the phases still to come. percent = elapsed ÷ (elapsed + remaining).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.jobs.timings import COMPUTING, Forecast

Clock = Callable[[], float]

# How much of a phase its forecast is worth, against what has been measured of that phase itself.
_TRUST_LEARNT = 0.10
_TRUST_GUESSED = 0.06
# The pieces of loading are files, and nothing is known of how they share the time.
_TRUST_LOADING = 1.0
_TRUST_LOADING_GUESSED = 0.2
# How far a surprise in loading stands for the machine; the rest is the disk.
_LOADING_TELLS = 0.6
# A piece that takes longer than expected is expected to take this share of its delay longer still.
_OVERRUN_LEARNT = 0.15
_OVERRUN_GUESSED = 0.5
# A forecast that was learnt follows the correction by the other phases not all the way: what slows
# them may be theirs alone.
_FOLLOWS = 0.75
# While nothing rests on measurements, percent runs ahead of the finished share by no more.
_GUESSED_LEAD = 9.0

# The phases whose pieces are the job's steps.
COUNTED = frozenset({Phase.DIFFUSING, Phase.DECODING_TOKENS})

# What comes before the work itself, while the model is not in memory.
BEFORE = (Phase.PREPARING, Phase.LOADING)

# These take turns: tokens are decoded while more of them are drawn.
IN_TURNS = frozenset({Phase.DECODING_TOKENS, Phase.DECODING})

_ORDER = {phase: index for index, phase in enumerate(Phase)}


@dataclass(frozen=True)
class Estimate:
    """percent 0–99, never falling; eta in seconds; step of total_steps in the counted phase.

    silent_sec: since the work last reported anything; piece_sec: what the piece that is being
    worked on is expected to take.
    """

    phase: Phase
    percent: int
    eta_sec: float
    step: int
    total_steps: int
    silent_sec: float
    piece_sec: float


@dataclass
class _RunningPhase:
    phase: Phase
    since: float
    before: float = 0.0  # seconds of its turns before this one
    fraction: float = 0.0
    reported: float = 0.0  # seconds into the phase when `fraction` was reached
    piece: float = 1.0  # how much of the phase may be done by the next report

    def seconds(self, now: float) -> float:
        return self.before + now - self.since


class Estimator:
    """Fed by the working thread, read by any. Times are read from `clock`, in seconds."""

    def __init__(
        self,
        forecast: Mapping[Phase, Forecast],
        total_steps: int,
        clock: Clock = time.monotonic,
    ) -> None:
        self._forecast = {p: forecast[p] for p in sorted(forecast, key=_ORDER.__getitem__)}
        self._clock = clock
        self._lock = threading.Lock()
        self._started = self._reported = clock()
        first = next((each for each in BEFORE if each in forecast), Phase.ENCODING)
        self._phase = _RunningPhase(first, self._started)
        self._waiting: dict[Phase, _RunningPhase] = {}  # for their next turn
        self._finished: dict[Phase, float] = {}
        self._percent = 0
        self._step = 0
        self._total_steps = total_steps
        self._total_forecast = sum(each.seconds for each in self._forecast.values())

    @property
    def total_forecast_sec(self) -> float:
        """What the whole job was expected to take before it began."""
        return self._total_forecast

    @property
    def measured(self) -> dict[Phase, float]:
        """Seconds of the phases that are over."""
        with self._lock:
            return dict(self._finished)

    def elapsed_sec(self) -> float:
        return self._clock() - self._started

    def update(self, progress: PhaseProgress) -> None:
        """A piece of a phase is done, or a phase begins (done = 0)."""
        with self._lock:
            now = self._reported = self._clock()
            if progress.phase is not self._phase.phase:
                self._change_to(progress.phase, now)
            fraction = min(1.0, progress.fraction)
            if fraction > self._phase.fraction:
                self._phase.fraction = fraction
                self._phase.reported = self._phase.seconds(now)
            # Decoding counts in hundredths, of which one window may be any number.
            if progress.phase is not Phase.DECODING:
                left = max(1, progress.total - progress.done)
                self._phase.piece = (1.0 - fraction) / left
            if progress.phase in COUNTED:
                self._step, self._total_steps = progress.done, progress.total

    def finish(self) -> None:
        """The last phase is over."""
        with self._lock:
            self._end_phases(self._clock())

    def estimate(self) -> Estimate:
        with self._lock:
            now = self._clock()
            elapsed = max(0.0, now - self._started)
            remaining = self._remaining(now)
            share = elapsed / (elapsed + remaining) if elapsed + remaining > 0.0 else 0.0
            percent = min(99.0, 100.0 * share, self._ceiling())
            self._percent = max(self._percent, math.floor(percent))
            return Estimate(
                self._phase.phase,
                self._percent,
                round(remaining, 1),
                self._step,
                self._total_steps,
                silent_sec=now - self._reported,
                piece_sec=self._phase.piece * self._expected(self._phase),
            )

    def _change_to(self, phase: Phase, now: float) -> None:
        left = self._phase
        if {left.phase, phase} <= IN_TURNS:
            left.before = left.seconds(now)
            self._waiting[left.phase] = left
        else:
            self._end_phases(now)
        self._phase = self._waiting.pop(phase, None) or _RunningPhase(phase, now)
        self._phase.since = now

    def _end_phases(self, now: float) -> None:
        """The running one, and those that waited for their turn."""
        running = self._phase
        ended = {running.phase: running.seconds(now)}
        ended |= {phase: waiting.before for phase, waiting in self._waiting.items()}
        for phase, seconds in ended.items():
            self._finished[phase] = self._finished.get(phase, 0.0) + seconds
        self._waiting.clear()

    def _remaining(self, now: float) -> float:
        correction = self._correction()
        remaining = self._remaining_in_phase(now)
        remaining += sum((1.0 - w.fraction) * self._expected(w) for w in self._waiting.values())
        begun = {*self._finished, *self._waiting}
        for phase, forecast in self._forecast.items():
            if _ORDER[phase] > _ORDER[self._phase.phase] and phase not in begun:
                remaining += _corrected(forecast, correction)
        return remaining

    def _remaining_in_phase(self, now: float) -> float:
        phase = self._phase
        if phase.fraction >= 1.0:
            return 0.0
        expected = self._expected(phase)
        waiting = phase.seconds(now) - phase.reported
        piece = min(phase.piece, 1.0 - phase.fraction)
        after_this_piece = (1.0 - phase.fraction - piece) * expected
        left = piece * expected - waiting
        overrun = _OVERRUN_LEARNT if self._is_learnt() else _OVERRUN_GUESSED
        return after_this_piece + max(left, overrun * (0.2 * piece * expected - left))

    def _expected(self, phase: _RunningPhase) -> float:
        """Seconds of the running phase as a whole."""
        forecast = self._forecast.get(phase.phase, Forecast(0.0, learnt=False))
        trust = _TRUST_LEARNT if forecast.learnt else _TRUST_GUESSED
        if phase.phase in BEFORE:
            trust = _TRUST_LOADING if forecast.learnt else _TRUST_LOADING_GUESSED
        if phase.fraction == 0.0:
            return _corrected(forecast, self._correction())
        prior = forecast.seconds
        if self._finished and not forecast.learnt:
            prior = _corrected(forecast, self._correction())
        return (trust * prior + phase.reported) / (trust + phase.fraction)

    def _correction(self) -> float:
        """Measured ÷ forecast time so far, drawn to 1 while there is little of it."""
        doubt = self._total_forecast * (0.05 if self._is_learnt() else 0.005)
        measured = expected = doubt
        parts = [(phase, seconds, 1.0) for phase, seconds in self._finished.items()]
        parts += [
            (begun.phase, begun.reported, begun.fraction)
            for begun in (self._phase, *self._waiting.values())
        ]
        for phase, seconds, share in parts:
            if phase in self._forecast:
                forecast = self._forecast[phase].seconds * share
                if phase in BEFORE and forecast > 0.0 and not self._forecast[phase].learnt:
                    seconds = forecast * (seconds / forecast) ** _LOADING_TELLS
                measured += seconds
                expected += forecast
        return measured / expected if expected > 0.0 and measured > 0.0 else 1.0

    def _ceiling(self) -> float:
        """The most percent may say: all, unless it rests on guesses and will soon be measured."""
        main = max(self._forecast, key=lambda phase: self._forecast[phase].seconds, default=None)
        if main not in COUNTED or self._total_steps < 2 or self._is_learnt():
            return 100.0
        if main in self._finished or main in self._waiting:
            return 100.0
        if self._phase.phase is main and self._phase.fraction > 0.0:
            return 100.0
        done = sum(self._forecast[p].seconds for p in self._finished if p in self._forecast)
        if self._phase.phase in self._forecast:
            done += self._forecast[self._phase.phase].seconds * self._phase.fraction
        return 100.0 * done / self._total_forecast + _GUESSED_LEAD

    def _is_learnt(self) -> bool:
        return all(
            forecast.learnt for phase, forecast in self._forecast.items() if phase in COMPUTING
        )


def _corrected(forecast: Forecast, correction: float) -> float:
    return forecast.seconds * correction ** (_FOLLOWS if forecast.learnt else 1.0)
