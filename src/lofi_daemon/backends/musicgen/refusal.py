"""What is remembered where the native form cannot be made, so that not every load tries again.

A refusal is of certain files by a certain version of this program. It ends when either changes.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lofi_daemon import __version__
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models.documents import MANIFEST, RECORD, read_checked, write_document

SUFFIX = ".refused"


class _Refusal(BaseModel):
    """files: size in bytes and modification time in nanoseconds of each, by name."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    reason: str
    version: str
    files: dict[str, tuple[int, int]]


def refuse(native: Path, published: Path, reason: str) -> None:
    """Remember that `native` cannot be made of the files in `published`. Raises OSError."""
    refusal = _Refusal(reason=reason, version=__version__, files=_files(published))
    write_document(_path(native), refusal.model_dump_json(indent=2) + "\n")


def is_refused(native: Path, published: Path) -> bool:
    """Whether `native` cannot be made of the files as they are, as was found. Raises OSError."""
    try:
        refusal = read_checked(_path(native), _Refusal)
    except ModelLoadFailed:  # none, or one that says less than this version asks
        return False
    return refusal.version == __version__ and refusal.files == _files(published)


def forget(native: Path) -> None:
    """It was made after all. Raises OSError."""
    _path(native).unlink(missing_ok=True)


def _path(native: Path) -> Path:
    return native.with_suffix(SUFFIX)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """The published ones; not what this program writes beside them."""
    found: dict[str, tuple[int, int]] = {}
    for path in folder.iterdir():
        ours = path.name in (MANIFEST, RECORD) or path.suffix == SUFFIX
        if not ours and not path.name.startswith(".") and path.is_file():
            status = path.stat()
            name = os.fsencode(path.name).decode("utf-8", errors="backslashreplace")
            found[name] = (status.st_size, status.st_mtime_ns)
    return found
