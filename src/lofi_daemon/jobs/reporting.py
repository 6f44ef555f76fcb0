"""Which of the many things that a running job reports are told, and when it has gone silent.

Pure: whoever asks says what time it is.
"""

from __future__ import annotations

from dataclasses import replace

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.jobs.estimate import BEFORE, Estimate
from lofi_daemon.jobs.events import JobAdvanced
from lofi_daemon.jobs.job import Job

# Between steps: at most so often, and without any news at least so often.
SHORTEST_GAP_SEC = 0.1
LONGEST_GAP_SEC = 1.0

# A piece of work that gives no sign for this many times what it should take has hung, if that is
# long enough for every machine that merely is slow. Loading reads gigabytes from any kind of disk.
_TIMES_EXPECTED = 20.0
_PATIENCE_SEC = 60.0
_PATIENCE_LOADING_SEC = 1800.0
# Once it was told to stop, a model call ends with its next operator; only making a session cannot.
_TIMES_EXPECTED_CANCELLED = 3.0
_PATIENCE_CANCELLED_SEC = 10.0
_PATIENCE_CANCELLED_LOADING_SEC = 120.0


def position_of(job: Job) -> JobAdvanced:
    """Where the job stands now."""
    estimate = job.estimator.estimate()
    return JobAdvanced(
        job.track_id,
        job.request.prompt,
        estimate.percent,
        estimate.step,
        estimate.total_steps,
        estimate.eta_sec,
        estimate.phase,
        counts_tokens=Phase.DECODING_TOKENS in job.workload,
    )


class Reporting:
    """Thins what one job reports: every step is told, the rest when it is news.

    Times are in seconds of any clock that does not go back.
    """

    def __init__(self) -> None:
        self._told: JobAdvanced | None = None
        self._told_at = float("-inf")

    def step(self, event: JobAdvanced, now: float) -> JobAdvanced:
        """A step is done: it is told, with a percentage that does not fall."""
        told = event
        if self._told is not None:
            told = replace(event, percent=max(event.percent, self._told.percent))
        self._told, self._told_at = told, now
        return told

    def look(self, event: JobAdvanced, now: float) -> JobAdvanced | None:
        """Somebody looks in between; None where there is nothing to tell."""
        last, waited = self._told, now - self._told_at
        is_news = (
            last is None
            or event.percent > last.percent
            or event.phase is not last.phase
            or waited >= LONGEST_GAP_SEC
        )
        return self.step(event, now) if is_news and waited >= 0.99 * SHORTEST_GAP_SEC else None


def patience_sec(estimate: Estimate, *, cancelled: bool) -> float:
    """How long the work may give no sign before it is taken for hung."""
    is_loading = estimate.phase in BEFORE
    if cancelled:
        least = _PATIENCE_CANCELLED_LOADING_SEC if is_loading else _PATIENCE_CANCELLED_SEC
        return max(least, _TIMES_EXPECTED_CANCELLED * estimate.piece_sec)
    least = _PATIENCE_LOADING_SEC if is_loading else _PATIENCE_SEC
    return max(least, _TIMES_EXPECTED * estimate.piece_sec)
