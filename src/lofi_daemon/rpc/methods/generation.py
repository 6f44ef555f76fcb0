"""Making tracks: generate, cancel, queue_clear, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from lofi_daemon.backends.protocol import Understood
from lofi_daemon.errors import InternalError, LofiError
from lofi_daemon.jobs.events import JobAdvanced, JobCancelled, JobCompleted, JobEvent, JobFailed
from lofi_daemon.jobs.tasks import Origin, with_source
from lofi_daemon.parameters import GenerationParameters, Parameters
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message, NoParameters
from lofi_daemon.rpc.methods.backends import cancel_download
from lofi_daemon.rpc.notifications import Notifier


class UnderstoodPrompt(Message):
    """What a backend read from a prompt; `text` says it all in one line."""

    text: str
    tempo: float | None
    key: str | None
    plays: list[str]
    moods: list[str]
    only: list[str] | None
    left_out: list[str]
    stand_ins: dict[str, str]
    not_known: list[str]

    @staticmethod
    def of(understood: Understood | None) -> UnderstoodPrompt | None:
        return None if understood is None else UnderstoodPrompt(**asdict(understood))


class GenerateResult(Message):
    track_id: str
    status: Literal["queued", "generating", "cached"]
    position: int
    seed: int
    backend: str
    understood: UnderstoodPrompt | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_none(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        if fields["understood"] is None:
            del fields["understood"]
        return fields


class CancelParameters(Parameters):
    """One of the two: a track that is being made, or a backend that is being downloaded."""

    track_id: str | None = Field(default=None, description="A track that is being made or waits.")
    backend: str | None = Field(default=None, description="A backend that is being downloaded.")

    @model_validator(mode="after")
    def _one(self) -> CancelParameters:
        if (self.track_id is None) == (self.backend is None):
            raise ValueError("give either track_id or backend")
        return self


class CancelResult(Message):
    cancelled: Literal[True] = True
    was_generating: bool


class QueueClearResult(Message):
    cancelled: list[str]


class GenerationProgress(Message):
    track_id: str
    prompt: str
    percent: int
    current_step: int
    total_steps: int
    eta_sec: float
    phase: str
    tokens_generated: int | None = None
    tokens_estimated: int | None = None


class GenerationComplete(Message):
    track_id: str
    path: str
    duration_sec: float
    sample_rate: int
    prompt: str
    seed: int
    generation_time_sec: float
    backend: str
    model_version: str | None
    understood: UnderstoodPrompt | None = None
    warning: str | None = None


class GenerationError(Message):
    track_id: str
    code: str
    message: str
    hint: str


class GenerationCancelled(Message):
    track_id: str
    at_step: int
    total_steps: int


def generate(
    daemon: Daemon, params: GenerationParameters
) -> GenerateResult | Awaitable[GenerateResult]:
    if params.task is None:
        return _submitted(daemon, params, None)
    return _generate_from(daemon, params)


async def _generate_from(daemon: Daemon, params: GenerationParameters) -> GenerateResult:
    completed, origin = await asyncio.to_thread(with_source, daemon.tracks, params)
    return _submitted(daemon, completed, origin)


def _submitted(
    daemon: Daemon, params: GenerationParameters, origin: Origin | None
) -> GenerateResult:
    ticket = daemon.jobs.submit(params, origin=origin, early=params.play == "early")
    if params.play is not None:
        daemon.early.want(ticket.track_id, params.play)
    return GenerateResult(
        track_id=ticket.track_id,
        status=ticket.status,
        position=ticket.position,
        seed=ticket.seed,
        backend=ticket.backend,
        understood=UnderstoodPrompt.of(ticket.understood),
    )


def cancel(daemon: Daemon, params: CancelParameters) -> CancelResult:
    if params.track_id is None:
        cancel_download(daemon, params.backend or "")
        return CancelResult(was_generating=False)
    return CancelResult(was_generating=daemon.jobs.cancel(params.track_id))


def queue_clear(daemon: Daemon, params: NoParameters) -> QueueClearResult:
    return QueueClearResult(cancelled=daemon.jobs.clear())


def tell_of_job(notifier: Notifier, event: JobEvent) -> None:
    """The notification of a job's event."""
    if isinstance(event, JobAdvanced):
        params = _progress(event)
        notifier.notify("generation_progress", params, replaces=f"progress {event.track_id}")
    elif isinstance(event, JobCompleted):
        if not notifier.notify("generation_complete", _complete(event)):
            untold = InternalError("The track is made, and what is to be told of it is not.")
            notifier.notify("generation_error", _error(event.track_id, untold))
    elif isinstance(event, JobFailed):
        notifier.notify("generation_error", _error(event.track_id, event.error))
    elif isinstance(event, JobCancelled):
        notifier.notify("generation_cancelled", _cancelled(event))


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


METHODS = [
    Method("generate", GenerationParameters, GenerateResult, generate, models=True),
    Method("cancel", CancelParameters, CancelResult, cancel),
    Method("queue_clear", NoParameters, QueueClearResult, queue_clear),
]
NOTIFICATIONS: dict[str, type[Message]] = {
    "generation_progress": GenerationProgress,
    "generation_complete": GenerationComplete,
    "generation_error": GenerationError,
    "generation_cancelled": GenerationCancelled,
}
