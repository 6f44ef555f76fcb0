"""Locks between daemons that share a folder. They vanish with the process that holds them.

Not every file system has locks (some network and user-space ones). There a file takes their
place that is made by one alone, and that the others remove when its maker is dead.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLock

from lofi_daemon.files.private import mode_of_files, set_file_mode

LOCK_FILE = ".lock"
SOFT_LOCK_FILE = ".lock.held"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def try_lock(descriptor: int) -> bool | None:
        """Whether this process now holds the file; files in use cannot be deleted here anyway."""
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def try_lock(descriptor: int) -> bool | None:
        """Whether this open file is now locked here; False when somebody else holds it.

        None where the file system has no locks. Raises OSError.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            raise
        return True


@contextmanager
def folder_lock(folder: Path) -> Generator[None, None, None]:
    """Alone in the folder: other threads and other daemons wait. Held for short work only.

    Raises OSError when the folder cannot be written.
    """
    descriptor = _open_lock(folder)
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            with SoftFileLock(
                folder / SOFT_LOCK_FILE, mode=mode_of_files(folder), poll_interval=0.01
            ):
                yield
        else:
            yield
    finally:
        os.close(descriptor)


def _open_lock(folder: Path) -> int:
    """The lock's file, made where it is missing, with the permissions of a file of this folder."""
    path = folder / LOCK_FILE
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        try:
            return os.open(path, os.O_RDWR | flags)
        except PermissionError:  # another user's, who lets others read: that is enough to lock it
            return os.open(path, os.O_RDONLY | flags)
        except FileNotFoundError:
            mode = mode_of_files(folder)
        # Made anew only where it is not there: some systems refuse O_CREAT for others' files.
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, mode)
            set_file_mode(descriptor, mode)  # whatever the umask
            return descriptor
