"""Locks between daemons that share a folder. They vanish with the process that holds them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def try_lock(descriptor: int) -> bool:
        """Whether this process now holds the file; files in use cannot be deleted here anyway."""
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def try_lock(descriptor: int) -> bool:
        """Whether this open file is now locked here; False when somebody else holds it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def folder_lock(folder: Path) -> Generator[None, None, None]:
    """Alone in the folder: other threads and other daemons wait. Held for short work only.

    Raises OSError when the folder cannot be written.
    """
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)
