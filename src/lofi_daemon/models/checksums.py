"""SHA-256 of model files, computed once for each state of a file.

Hashing ten gigabytes takes seconds to a minute, so a sum is remembered with the size and the
modification time that the file had. A file that was touched since is hashed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import default_cache_folder
from lofi_daemon.files.documents import read_document
from lofi_daemon.files.held import Held
from lofi_daemon.files.temporary import replace_file

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20

OnRead = Callable[[int], None]

# A line for each file of each model.
MAX_BYTES = 16 << 20
LEFT_OVER_AFTER_SEC = 3600.0


class _Remembered(BaseModel):
    """state: size in bytes and modification time in nanoseconds."""

    model_config = ConfigDict(defer_build=True)

    state: tuple[int, int]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


_REMEMBERED = TypeAdapter(dict[str, _Remembered], config=ConfigDict(defer_build=True))
# Every file of every model asks; once is enough to know.
_SAID: set[str] = set()
_HELD: Held[Mapping[str, _Remembered]] = Held()


class Checksums:
    """The remembered sums, kept in one small JSON file. Safe from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or default_cache_folder() / "checksums.json"
        self._lock = threading.Lock()

    def known(self, file: Path) -> str | None:
        """The sum of the file as it is now, if it was computed before. Reads no contents."""
        entry = self._read().get(_key(file))
        return entry.sha256 if entry and entry.state == _state(file) else None

    def remember(self, file: Path, sha256: str) -> None:
        """Keep what was just computed of the file as it is now."""
        with self._lock:
            entries = {path: entry for path, entry in self._read().items() if _is_there(path)}
            entries[_key(file)] = _Remembered(state=_state(file), sha256=sha256)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                _sweep_old_leftovers(self._path)
                replace_file(self._path, _REMEMBERED.dump_json(entries, indent=1))
            except OSError as error:
                reason = error.strerror or error
                _say_once(f"Checksums cannot be remembered in {self._path}: {reason}")

    def compute(self, file: Path, cancel: CancelToken, on_read: OnRead = lambda read: None) -> str:
        """Read the whole file and remember its sum. on_read gets how many bytes have been read.

        Raises Cancelled, OSError.
        """
        sha256 = hash_file(file, cancel, on_read)
        self.remember(file, sha256)
        return sha256

    def of(self, file: Path, cancel: CancelToken) -> str:
        """The known sum, or else the computed one."""
        return self.known(file) or self.compute(file, cancel)

    def _read(self) -> Mapping[str, _Remembered]:
        def read() -> Mapping[str, _Remembered]:
            return _REMEMBERED.validate_python(read_document(self._path, MAX_BYTES))

        try:
            return _HELD.get(self._path, None, read)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            _say_once(f"Checksums are computed anew, {self._path} cannot be used: {reason}")
            return {}


def _say_once(complaint: str) -> None:
    if complaint not in _SAID:
        _SAID.add(complaint)
        log.warning("%s", complaint)


def known_sums_state() -> object:
    """Equal as long as no sum was remembered or forgotten, by whatever process."""
    try:
        status = (default_cache_folder() / "checksums.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def hash_file(file: Path, cancel: CancelToken, on_read: OnRead = lambda read: None) -> str:
    """SHA-256 in hexadecimal. Raises Cancelled, OSError."""
    digest = hashlib.sha256()
    read = 0
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            cancel.raise_if_cancelled()
            digest.update(block)
            read += len(block)
            on_read(read)
    return digest.hexdigest()


def hash_git_blob(file: Path) -> str:
    """The id that git, and so the Hub, gives a small file: SHA-1 over its length and contents."""
    contents = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _is_there(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # below a folder that cannot be read, or no path at all
        return False


def _key(file: Path) -> str:
    """A path as text; bytes that are no text are spelt."""
    return os.fsencode(file.absolute()).decode("utf-8", errors="backslashreplace")


def _sweep_old_leftovers(path: Path) -> None:
    """What killed processes of earlier versions left: `.checksums.json.<process>.<thread>`."""
    for left in path.parent.glob(f".{path.name}.[0-9]*"):
        if time.time() - left.lstat().st_mtime > LEFT_OVER_AFTER_SEC:
            left.unlink()
