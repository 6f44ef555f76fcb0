"""Files on their way to becoming tracks: seen as in use by other daemons, gone after a failure."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from lofi_daemon.tracks.locking import try_lock

_NAME = re.compile(r"^\.[0-9a-f]{16}-[0-9a-f]{8}\.partial$")
_BINARY: int = getattr(os, "O_BINARY", 0)


class TemporaryFile:
    """A file being written in the track folder; other daemons see that it is in use."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._open = True

    def write(self, data: bytes) -> None:
        """All of it, down to the disk. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]
        os.fsync(self.descriptor)

    def publish(self, target: Path) -> None:
        """Give the file its name. Raises OSError."""
        if sys.platform == "win32":  # an open file cannot be renamed there
            self.close()
        self.path.replace(target)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


@contextmanager
def temporary_file(folder: Path, track_id: str) -> Generator[TemporaryFile, None, None]:
    """A file in the folder that is gone after the block unless it was published.

    Raises OSError.
    """
    while True:
        path = folder / f".{track_id}-{secrets.token_hex(4)}.partial"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o644)
        # A sweep may have come between creation and lock; then it is somebody else's.
        if try_lock(descriptor) and path.exists():
            break
        os.close(descriptor)
    file = TemporaryFile(path, descriptor)
    try:
        yield file
    finally:
        file.close()
        path.unlink(missing_ok=True)


def is_abandoned(file: Path) -> bool:
    """Whether it is such a file and no living process holds it."""
    if not _NAME.match(file.name):
        return False
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames survive a power cut, where folders can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
