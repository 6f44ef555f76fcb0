"""The models: get_backends, download_backend, and what is told of a download."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from lofi_daemon.backends.options import declared
from lofi_daemon.backends.protocol import Availability, Backend, GenerationRequest
from lofi_daemon.backends.registry import Choice
from lofi_daemon.errors import InvalidParams, LofiError
from lofi_daemon.jobs.estimate import BEFORE
from lofi_daemon.models.download_processes import Downloaded, DownloadEvent, Progressed
from lofi_daemon.parameters import Parameters
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message, NoParameters
from lofi_daemon.rpc.notifications import Notifier


class BackendParameters(Parameters):
    backend: str = Field(description="Its type, as `get_backends` lists it.")


class BackendOption(Message):
    """What a backend takes beside prompt, length and seed.

    `default` is what a request gets that leaves it out; null where it is off, or where the model
    is not installed.
    """

    name: str
    type: Literal["integer", "number", "boolean", "string"]
    default: bool | int | float | str | None
    choices: list[str] | None
    minimum: float | None
    maximum: float | None
    help: str


class BackendStatus(Message):
    """`place` is "here", or the name of the machine that computes; `terms` is what requests to the
    installed model depend on, for a daemon that has requests computed here."""

    type: str
    name: str
    status: Literal["not_installed", "downloading", "loading", "ready", "error"]
    min_duration_sec: float
    max_duration_sec: float
    sample_rate: int
    model_version: str | None
    options: list[BackendOption]
    tasks: list[str] = Field(
        description="What `generate` can be asked to make of other music: its `task`."
    )
    place: str
    terms: dict[str, Any] | None = None
    error: str | None = None
    device: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_none(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        for name in ("terms", "error", "device"):
            if fields[name] is None:
                del fields[name]
        return fields


class BackendsResult(Message):
    backends: list[BackendStatus]
    default_backend: str


class ComputeDeviceResult(Message):
    """`device` by LOFI_DEVICE's names; null, and `problem` says why, where nothing can compute."""

    device: str | None
    problem: str | None


class DownloadResult(Message):
    started: bool
    already_installed: bool


class DownloadProgress(Message):
    backend: str
    component: str
    component_percent: int
    overall_percent: int
    bytes_downloaded: int
    bytes_total: int
    file_name: str
    files_completed: int
    files_total: int


class DownloadComplete(Message):
    backend: str


class DownloadError(Message):
    backend: str
    code: str
    message: str
    hint: str


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
    elif current is not None and current[0].backend is backend and current[1].phase in BEFORE:
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
        place=info.place,
        terms=_terms(backend, available),
        tasks=[offer.name for offer in info.tasks],
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


def _terms(backend: Backend, available: Availability) -> dict[str, Any] | None:
    """Of a model whose files are here and can be used."""
    if backend.info.is_here and available.installed and available.error is None:
        with suppress(LofiError):
            return dict(backend.terms())
    return None


async def compute_device(daemon: Daemon, params: NoParameters) -> ComputeDeviceResult:
    try:
        device = await asyncio.to_thread(daemon.registry.device)
    except LofiError as error:
        return ComputeDeviceResult(device=None, problem=f"{error.message} {error.hint}")
    return ComputeDeviceResult(device=device, problem=None)


def download_backend(daemon: Daemon, params: BackendParameters) -> DownloadResult:
    backend = daemon.registry.get(params.backend)
    available = backend.availability()
    if available.installed and available.error is None:
        return DownloadResult(started=False, already_installed=True)
    started = daemon.downloads.start(daemon.registry.files(params.backend))
    return DownloadResult(started=started, already_installed=False)


def cancel_download(daemon: Daemon, name: str) -> None:
    """Raises InvalidBackend, and InvalidParams when there is no such download."""
    backend = daemon.registry.get(name)
    if not daemon.downloads.cancel(name):
        raise InvalidParams(
            f"{backend.info.name} is not being downloaded.", hint="There is nothing to cancel."
        )


def tell_of_download(notifier: Notifier, event: DownloadEvent) -> None:
    """The notification of a download's event."""
    if isinstance(event, Progressed):
        params = DownloadProgress(backend=event.model, **event.figures)
        notifier.notify("download_progress", params, replaces=f"download {event.model}")
    elif isinstance(event, Downloaded):
        notifier.notify("download_complete", DownloadComplete(backend=event.model))
    else:
        notifier.notify(
            "download_error",
            DownloadError(
                backend=event.model,
                code=event.error.name,
                message=event.error.message,
                hint=event.error.hint,
            ),
        )


METHODS = [
    Method("get_backends", NoParameters, BackendsResult, get_backends, models=True),
    Method("compute_device", NoParameters, ComputeDeviceResult, compute_device),
    Method("download_backend", BackendParameters, DownloadResult, download_backend),
]
NOTIFICATIONS: dict[str, type[Message]] = {
    "download_progress": DownloadProgress,
    "download_complete": DownloadComplete,
    "download_error": DownloadError,
}
