"""Whether a folder of model files is still as it was when it was loaded, or looked at."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from lofi_daemon.models.store import RECORD, exists

FolderState = tuple[tuple[str, int, int], ...]
TreeState = tuple[tuple[str, int, int, int, int, int], ...]

# A model's folder holds its files, and sets of files in folders of their own, in two layers.
MAX_DEPTH = 3
# Somebody's home that was taken for a model's folder is not walked through at every question.
MAX_ENTRIES = 1000


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


def tree_state(folder: Path) -> TreeState | None:
    """All that tells whether anything in a folder has changed, names and permissions too.

    Links are followed, hidden names left out. None: more than a model has. Empty where there is
    nothing. Raises OSError where the folder itself is none, or cannot be read.
    """
    if not exists(folder):
        return ()
    found: list[tuple[str, int, int, int, int, int]] = []
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            if depth == 0:
                raise
            visible = []  # what lies in it cannot be a part of anybody's answer
        for entry in visible:
            status = _status(entry)
            if status is None:
                continue
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found.append((entry.path, status.st_mode, status.st_ino, status.st_size, *times))
            if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                waiting.append((Path(entry.path), depth + 1))
        if len(found) > MAX_ENTRIES:
            return None
    return tuple(sorted(found))


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Of what a link leads to, or of a link to nothing; None where it is gone in this moment."""
    for follow in (True, False):
        with suppress(OSError):
            return entry.stat(follow_symlinks=follow)
    return None
