"""A piece of work, and the events that tell of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from lofi_daemon.backends.protocol import Backend, GenerationRequest, Phase, Understood
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import LofiError
from lofi_daemon.jobs.progress import JobProgress
from lofi_daemon.tracks import Track


class Priority(IntEnum):
    """Who goes first; the radio's work ahead never keeps a listener's request waiting."""

    HIGH = 0
    NORMAL = 1
    PREFETCH = 2


@dataclass(eq=False)
class Job:
    """One track being waited for.

    The request is resolved. `workload` and `progress` are a forecast while the job waits, and
    are made anew when it starts.
    """

    track_id: str
    backend: Backend
    model_version: str | None
    request: GenerationRequest
    priority: Priority
    workload: Mapping[Phase, float]
    progress: JobProgress
    token: CancelToken = field(default_factory=CancelToken)
    finished: bool = False
    _committing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self) -> bool:
        """Ask the job to stop; False when its track is being put into the folder already."""
        with self._lock:
            if self._committing:
                return False
        self.token.cancel()
        return True

    def begin_commit(self) -> None:
        """From here on the job cannot be cancelled. Raises Cancelled when it was before."""
        with self._lock:
            self.token.raise_if_cancelled()
            self._committing = True


@dataclass(frozen=True)
class Progress:
    """Where a running job stands: percent of its time from 0 to 99, eta in seconds.

    step and total_steps count solver iterations (tokens, for a model that decodes tokens).
    """

    track_id: str
    percent: int
    step: int
    total_steps: int
    eta_sec: float
    phase: Phase
    counts_tokens: bool = False


@dataclass(frozen=True)
class Completed:
    """The track is at `path`. generation_time_sec is 0 when it was there before.

    understood: what the backend read from the prompt, where it says so. warning: why the path is
    not in the folder of tracks, where it is not.
    """

    track: Track
    path: Path
    generation_time_sec: float
    understood: Understood | None = None
    warning: str | None = None

    @property
    def track_id(self) -> str:
        return self.track.track_id


@dataclass(frozen=True)
class Failed:
    track_id: str
    error: LofiError


@dataclass(frozen=True)
class Cancelled:
    track_id: str
    step: int
    total_steps: int


FinalEvent = Completed | Failed | Cancelled
Event = Progress | FinalEvent
