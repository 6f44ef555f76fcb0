"""A piece of work and the one thing that is true of it: its state."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from lofi_daemon.backends.protocol import Backend, GenerationRequest, Phase
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.jobs.early import HeardCopy
from lofi_daemon.jobs.estimate import Estimator
from lofi_daemon.tracks import Recipe


class Priority(IntEnum):
    """Who goes first; the radio's work ahead never keeps a listener's request waiting."""

    HIGH = 0
    NORMAL = 1
    PREFETCH = 2


class State(Enum):
    """A job's life, in this order; it may be over from anywhere.

    WAITING in the queue; STARTING: its turn has come; RUNNING in the worker's thread; COMMITTING:
    its track is being put into the folder, and it cannot be cancelled any more; OVER: its last word
    has been said.
    """

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    COMMITTING = "committing"
    OVER = "over"


_NEXT = {
    State.WAITING: State.STARTING,
    State.STARTING: State.RUNNING,
    State.RUNNING: State.COMMITTING,
}


@dataclass(eq=False)
class Job:
    """One track being waited for.

    `workload` and `estimator` are a forecast while the job waits, and are made anew when it starts.
    early: somebody wants to hear it while it is made, and `heard` is what there is to hear.
    track_format: how the file is written; None: as configured.
    """

    backend: Backend
    recipe: Recipe
    priority: Priority
    workload: Mapping[Phase, float]
    estimator: Estimator
    token: CancelToken = field(default_factory=CancelToken)
    early: bool = False
    heard: HeardCopy | None = None
    track_format: TrackFormat | None = None
    _state: State = State.WAITING
    _lock: threading.Lock = field(default_factory=threading.Lock)

    track_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.track_id = self.recipe.track_id

    @property
    def request(self) -> GenerationRequest:
        return self.recipe.request

    @property
    def model_version(self) -> str | None:
        return self.recipe.model_version

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_over(self) -> bool:
        return self._state is State.OVER

    def move(self, to: State) -> bool:
        """Go on to the next state, or to the end; False, and nothing changes, where that is no way.

        A job that was cancelled is not committed, and one that is over stays so: of all who would
        say a last word the one whose move succeeds says it. May be called from any thread.
        """
        with self._lock:
            if self._state is State.OVER:
                return False
            if to is not State.OVER and _NEXT.get(self._state) is not to:
                return False
            if to is State.COMMITTING and self.token.cancelled:
                return False
            self._state = to
            return True

    def cancel(self) -> bool:
        """Ask the job to stop; False where it is too late. After True it never commits."""
        with self._lock:
            if self._state in (State.COMMITTING, State.OVER):
                return False
            self.token.cancel()
            return True
