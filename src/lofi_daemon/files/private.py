"""Who may read what lies on the disk: prompts are the user's own.

A folder of ours is its owner's alone (0700), and so is every file in it (0600), unless somebody
opened the folder to others on purpose; then its files are as open as the folder.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def private_folder(folder: Path) -> None:
    """Make the folder where it is missing, and narrow it where it is ours and not shared.

    Raises OSError, also where a file or a link to nothing is in its place.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        try:
            each.mkdir(PRIVATE_FOLDER)
        except FileExistsError:  # another process was faster
            continue
    if folder.is_symlink() and not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "It is a link to nothing", str(folder))
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if _ours(status) and not is_shared(status) and stat.S_IMODE(status.st_mode) != PRIVATE_FOLDER:
        with suppress(OSError):  # a file system that keeps no permissions
            folder.chmod(PRIVATE_FOLDER)


def is_shared(folder: os.stat_result) -> bool:
    """Whether its owner opened this folder to others.

    Others may write to it; or its group may, and that is not merely what a umask of 002 leaves:
    the group is handed on (setgid), or is another one than the user's own.
    """
    if sys.platform == "win32":
        return True
    mode = folder.st_mode
    if mode & stat.S_IWOTH:
        return True
    return bool(mode & stat.S_IWGRP) and bool(mode & stat.S_ISGID or folder.st_gid != os.getegid())


def mode_of_files(folder: Path) -> int:
    """The permissions of a file in this folder. Raises OSError."""
    status = folder.stat()
    return PRIVATE_FILE | (status.st_mode & 0o066 if is_shared(status) else 0)


def set_file_mode(descriptor: int, mode: int) -> None:
    """Give an open file that is ours these permissions; others' stay as they are."""
    if sys.platform != "win32":
        status = os.fstat(descriptor)
        # A second name may be somebody's trick to open another file of ours to the folder's users.
        alone = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if alone and _ours(status) and stat.S_IMODE(status.st_mode) != mode:
            with suppress(OSError):  # a file system that keeps no permissions
                os.fchmod(descriptor, mode)


def mend_file_mode(file: Path, mode: int) -> None:
    """The same for a file by its name, which is not followed where it is a link. Raises OSError."""
    if sys.platform != "win32":
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            set_file_mode(descriptor, mode)
        finally:
            os.close(descriptor)


def _ours(status: os.stat_result) -> bool:
    return sys.platform != "win32" and status.st_uid == os.geteuid()
