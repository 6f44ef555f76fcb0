"""SHA-256 of model files, computed once for each state of a file.

Hashing ten gigabytes takes seconds to a minute, so a sum is remembered with the size and the
modification time that the file had. A file that was touched since is hashed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import default_cache_folder

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20

OnRead = Callable[[int], None]


class Checksums:
    """The remembered sums, kept in one small JSON file. Safe from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or default_cache_folder() / "checksums.json"
        self._lock = threading.Lock()

    def known(self, file: Path) -> str | None:
        """The sum of the file as it is now, if it was computed before. Reads no contents."""
        entry = self._read().get(str(file.absolute()))
        return entry["sha256"] if entry and entry["state"] == _state(file) else None

    def remember(self, file: Path, sha256: str) -> None:
        """Keep what was just computed of the file as it is now."""
        with self._lock:
            entries = {path: entry for path, entry in self._read().items() if Path(path).is_file()}
            entries[str(file.absolute())] = {"state": _state(file), "sha256": sha256}
            try:
                write_atomically(self._path, json.dumps(entries, indent=1))
            except OSError as error:
                log.warning("Checksums cannot be remembered: %s", error)

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

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("Checksums are computed anew, %s cannot be read: %s", self._path, error)
            return {}


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


def write_atomically(path: Path, text: str) -> None:
    """The whole text or, when interrupted, what was there before. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
