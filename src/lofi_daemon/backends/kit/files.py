"""Whether a folder of model files is still the one that was loaded."""

from __future__ import annotations

from pathlib import Path

from lofi_daemon.models.store import RECORD

FolderState = tuple[tuple[str, int, int], ...]


def folder_state(folder: Path) -> FolderState:
    """Name, size in bytes and time of change in ns of every file right in the folder, in order.

    The record of what was installed does not count, nor does what is hidden. Equal states are
    equal files, as far as can be seen without reading them. Empty where the folder is gone.
    """
    try:
        files = [entry for entry in folder.iterdir() if _counts(entry)]
        states = [(entry.name, entry.stat()) for entry in files]
    except OSError:
        return ()
    return tuple(sorted((name, state.st_size, state.st_mtime_ns) for name, state in states))


def _counts(entry: Path) -> bool:
    return entry.is_file() and entry.name != RECORD and not entry.name.startswith(".")
