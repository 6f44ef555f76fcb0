"""Getting models: download_backend, and what is told of it."""

from __future__ import annotations

from lofi_daemon.errors import InvalidParams
from lofi_daemon.models.download_processes import Downloaded, DownloadEvent, Progressed
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import (
    BackendParameters,
    CancelResult,
    DownloadComplete,
    DownloadError,
    DownloadProgress,
    DownloadResult,
)
from lofi_daemon.rpc.notifications import Notifier


def download_backend(daemon: Daemon, params: BackendParameters) -> DownloadResult:
    backend = daemon.registry.get(params.backend)
    available = backend.availability()
    if available.installed and available.error is None:
        return DownloadResult(started=False, already_installed=True)
    started = daemon.downloads.start(daemon.registry.files(params.backend))
    return DownloadResult(started=started, already_installed=False)


def cancel_download(daemon: Daemon, name: str) -> CancelResult:
    """Raises InvalidBackend, and InvalidParams when there is no such download."""
    backend = daemon.registry.get(name)
    if not daemon.downloads.cancel(name):
        raise InvalidParams(
            f"{backend.info.name} is not being downloaded.", hint="There is nothing to cancel."
        )
    return CancelResult(was_generating=False)


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


METHODS = [Method("download_backend", BackendParameters, DownloadResult, download_backend)]
