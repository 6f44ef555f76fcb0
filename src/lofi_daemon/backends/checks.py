"""What every backend asks before it works: the length, whether files are whole, the memory."""

from __future__ import annotations

from pathlib import Path

from lofi_daemon.backends.protocol import Availability, BackendInfo
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidDuration, ModelLoadFailed, ModelNotFound
from lofi_daemon.models import store


def check_duration(info: BackendInfo, duration_sec: float) -> None:
    """Raises InvalidDuration, with both limits, for a length outside the backend's range."""
    if not info.min_duration_sec <= duration_sec <= info.max_duration_sec:
        raise InvalidDuration(
            f"duration_sec: {info.name} makes {info.min_duration_sec:g} to "
            f"{info.max_duration_sec:g} s, not {duration_sec:g}.",
            min=info.min_duration_sec,
            max=info.max_duration_sec,
        )


def check_files(
    info: BackendInfo, status: Availability, folder: Path, repair: str, cancel: CancelToken
) -> None:
    """Before loading: the files are there, and every one whose sum is known has it.

    Raises ModelNotFound, ModelLoadFailed (naming the file and `repair`), Cancelled.
    """
    if not status.installed:
        raise ModelNotFound(f"{info.name} is not in {folder}.", hint=repair)
    if status.error is not None:
        raise ModelLoadFailed(status.error, hint=repair)
    store.raise_if_damaged(folder, repair, cancel)


def check_memory(what: str, needed: int, available: int, remedy: str) -> None:
    """Raises ModelLoadFailed, with both numbers of bytes, where `needed` is not available."""
    if available < needed:
        raise ModelLoadFailed(
            f"{what} needs {needed / 1e9:.1f} GB of memory; "
            f"{available / 1e9:.1f} GB are available.",
            hint=remedy,
            needed_bytes=needed,
            available_bytes=available,
        )
