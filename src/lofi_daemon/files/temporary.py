"""Files on their way to their name: seen as in use by other processes, gone after a failure."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from lofi_daemon.files.locking import try_lock
from lofi_daemon.files.private import mode_of_files, set_file_mode

_NAME = re.compile(r"^\.(?P<stem>.+)-[0-9a-f]{8}\.partial$", re.DOTALL)
_BINARY: int = getattr(os, "O_BINARY", 0)
# A file's name may have 255 bytes; what is added here has 18.
_STEM_BYTES = 230
# Where nobody can see whether a file is in use: longer than any is being written.
_ABANDONED_AFTER_SEC = 3600.0


class TemporaryFile:
    """A file being written; other processes see that it is in use."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._open = True

    def write(self, data: bytes) -> None:
        """All of it. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def sync(self) -> None:
        """Down to the disk. Raises OSError."""
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
def temporary_file(
    folder: Path, stem: str, mode: int | None = None
) -> Generator[TemporaryFile, None, None]:
    """A new file in the folder that is gone after the block unless it was published.

    Nobody can know its name before it is there. Its permissions are those of a file in this
    folder; with `mode` they are that, less what the umask takes. Raises OSError.
    """
    stem = _short(stem)
    while True:
        path = folder / f".{stem}-{secrets.token_hex(4)}.partial"
        wanted = mode_of_files(folder) if mode is None else mode
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, wanted)
        if mode is None:
            set_file_mode(descriptor, wanted)
        # A sweep may have come between creation and lock; then it is somebody else's.
        if try_lock(descriptor) is not False and path.exists():
            break
        os.close(descriptor)
    file = TemporaryFile(path, descriptor)
    try:
        yield file
    finally:
        file.close()
        path.unlink(missing_ok=True)


@contextmanager
def replacing(target: Path, mode: int | None = None) -> Generator[TemporaryFile, None, None]:
    """A file that takes the place of `target` when the block ends, and is gone if it fails.

    At every instant there is the old or the whole new one. Sweeps what killed processes left of
    earlier ones. mode: as for `temporary_file`. Raises OSError.
    """
    sweep(target.parent, target.name)
    with temporary_file(target.parent, target.name, mode) as file:
        yield file
        file.sync()
        file.publish(target)
    sync_folder(target.parent)


def replace_file(target: Path, content: bytes, mode: int | None = None) -> None:
    """Put a whole new file in the place of `target`. Raises OSError."""
    with replacing(target, mode) as file:
        file.write(content)


def sweep(folder: Path, stem: str) -> None:
    """Remove what killed processes left under temporary names of that stem."""
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if stem_of(entry.name) == _short(stem) and is_abandoned(entry):
                entry.unlink()


def stem_of(name: str) -> str | None:
    """The stem for which `temporary_file` made a file of that name; None for any other name."""
    match = _NAME.match(name)
    return match["stem"] if match is not None else None


def is_abandoned(file: Path) -> bool:
    """Whether it is such a file and no living process holds it."""
    if stem_of(file.name) is None:
        return False
    try:
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(file, os.O_RDWR | flags)
    except OSError:
        return False
    try:
        mine = try_lock(descriptor)
        if mine is None:
            return time.time() - os.fstat(descriptor).st_mtime > _ABANDONED_AFTER_SEC
        return mine
    except OSError:
        return False
    finally:
        os.close(descriptor)


def sync_file(file: Path) -> None:
    """Bring a written file's contents to the disk. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | _BINARY)
    try:
        os.fsync(descriptor)
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


def _short(stem: str) -> str:
    return os.fsdecode(os.fsencode(stem)[:_STEM_BYTES])
