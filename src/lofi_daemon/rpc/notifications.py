"""Events of the house as notifications on the wire."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from pydantic import BaseModel

from lofi_daemon.errors import InternalError, LofiError
from lofi_daemon.jobs.events import (
    JobAdvanced,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
)
from lofi_daemon.rpc.messages import (
    GenerationCancelled,
    GenerationComplete,
    GenerationError,
    GenerationProgress,
    UnderstoodPrompt,
    encode,
    notification,
)
from lofi_daemon.rpc.stdio import MessageWriter

log = logging.getLogger(__name__)


class Tells(Protocol):
    """Whoever tells clients of something."""

    def notify(self, method: str, params: BaseModel) -> None: ...


class Notifier:
    """Sends notifications; holds them back while a batch is being answered."""

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer
        self._holders = 0
        self._held: list[Callable[[], None]] = []

    def notify(self, method: str, params: BaseModel, *, replaces: str | None = None) -> bool:
        """Tell the client; it may take the place of an unsent one with the same `replaces`.

        False, and a line in the log, where it cannot be encoded: no listener fails over that.
        """
        try:
            line = encode(notification(method, params))
        except Exception:
            log.exception("%s cannot be encoded", method)
            return False
        if self._holders:
            self._held.append(lambda: self._writer.send(line, replaces=replaces))
        else:
            self._writer.send(line, replaces=replaces)
        return True

    def relay(self, line: bytes) -> None:
        """A notification that another daemon wrote for this one's client."""
        if self._holders:
            self._held.append(lambda: self._writer.send(line))
        else:
            self._writer.send(line)

    def hold(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            held, self._held = self._held, []
            for send in held:
                send()

    def tell_of_job(self, event: JobEvent) -> None:
        """The notification of a job's event."""
        if isinstance(event, JobAdvanced):
            params = _progress(event)
            self.notify("generation_progress", params, replaces=f"progress {event.track_id}")
        elif isinstance(event, JobCompleted):
            if not self.notify("generation_complete", _complete(event)):
                untold = InternalError("The track is made, and what is to be told of it is not.")
                self.notify("generation_error", _error(event.track_id, untold))
        elif isinstance(event, JobFailed):
            self.notify("generation_error", _error(event.track_id, event.error))
        else:
            self.notify("generation_cancelled", _cancelled(event))


def _error(track_id: str, error: LofiError) -> GenerationError:
    return GenerationError(
        track_id=track_id, code=error.name, message=error.message, hint=error.hint
    )


def _progress(event: JobAdvanced) -> GenerationProgress:
    tokens = (
        {"tokens_generated": event.step, "tokens_estimated": event.total_steps}
        if event.counts_tokens
        else {}
    )
    return GenerationProgress(
        track_id=event.track_id,
        prompt=event.prompt,
        percent=event.percent,
        current_step=event.step,
        total_steps=event.total_steps,
        eta_sec=event.eta_sec,
        phase=event.phase.value,
        **tokens,
    )


def _complete(event: JobCompleted) -> GenerationComplete:
    track = event.track
    beside = {"understood": UnderstoodPrompt.of(event.understood), "warning": event.warning}
    told: dict[str, Any] = {name: value for name, value in beside.items() if value is not None}
    return GenerationComplete(
        track_id=track.track_id,
        path=str(event.path),
        duration_sec=track.duration_sec,
        sample_rate=track.sample_rate,
        prompt=track.prompt,
        seed=track.seed,
        generation_time_sec=event.generation_time_sec,
        backend=track.backend,
        model_version=track.model_version,
        **told,
    )


def _cancelled(event: JobCancelled) -> GenerationCancelled:
    return GenerationCancelled(
        track_id=event.track_id, at_step=event.step, total_steps=event.total_steps
    )
