"""Making tracks: generate, cancel, queue_clear, and the backends that do it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from lofi_daemon.backends.options import declared
from lofi_daemon.backends.protocol import Availability, Backend, GenerationRequest, Phase
from lofi_daemon.backends.registry import Choice
from lofi_daemon.errors import LofiError
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import (
    BackendOption,
    BackendsResult,
    BackendStatus,
    CancelParameters,
    CancelResult,
    GenerateResult,
    NoParameters,
    QueueClearResult,
    UnderstoodPrompt,
)
from lofi_daemon.rpc.methods.models import cancel_download


def generate(daemon: Daemon, params: GenerationParameters) -> GenerateResult:
    ticket = daemon.jobs.submit(params)
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
        return cancel_download(daemon, params.backend or "")
    return CancelResult(was_generating=daemon.jobs.cancel(params.track_id))


def queue_clear(daemon: Daemon, params: NoParameters) -> QueueClearResult:
    return QueueClearResult(cancelled=daemon.jobs.clear())


def get_backends(daemon: Daemon, params: NoParameters) -> BackendsResult:
    survey = daemon.registry.survey()
    return BackendsResult(
        backends=[_backend_status(daemon, choice) for choice in survey],
        default_backend=daemon.registry.default(survey).backend.info.type,
    )


def _backend_status(daemon: Daemon, choice: Choice) -> BackendStatus:
    backend, available = choice.backend, choice.availability
    info = backend.info
    current = daemon.jobs.current
    if daemon.downloads.is_running(info.type):
        status = "downloading"
    elif available.error is not None:
        status = "error"
    elif not available.installed:
        status = "not_installed"
    elif (
        current is not None and current[0].backend is backend and current[1].phase is Phase.LOADING
    ):
        status = "loading"
    else:
        status = "ready"
    return BackendStatus(
        type=info.type,
        name=info.name,
        status=status,
        min_duration_sec=info.min_duration_sec,
        max_duration_sec=info.max_duration_sec,
        sample_rate=info.sample_rate,
        model_version=available.model_version,
        options=_options(backend, available),
        error=available.error,
        device=available.device,
    )


def _options(backend: Backend, available: Availability) -> list[BackendOption]:
    """What the backend declares, with what it fills in where its files are there to say it."""
    info, defaults = backend.info, dict[str, Any]()
    if available.installed and available.error is None:
        with suppress(LofiError):  # a file that went just now: the next question says so
            plain = GenerationRequest("", info.min_duration_sec, 0)
            defaults = backend.resolve(plain).options.given
    return [
        BackendOption(
            name=option.name,
            type=option.type,
            default=defaults.get(option.name),
            choices=None if option.choices is None else list(option.choices),
            minimum=option.minimum,
            maximum=option.maximum,
            help=option.help,
        )
        for option in declared(info.options)
    ]


METHODS = [
    Method("generate", GenerationParameters, GenerateResult, generate),
    Method("cancel", CancelParameters, CancelResult, cancel),
    Method("queue_clear", NoParameters, QueueClearResult, queue_clear),
    Method("get_backends", NoParameters, BackendsResult, get_backends),
]
