"""The sidecars of a folder, each read again only where its file has changed."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.tracks.sidecar import Track, read_sidecar

log = logging.getLogger(__name__)

_SIDECAR = re.compile(r"^[0-9a-f]{16}\.json$")


@dataclass(frozen=True)
class _Known:
    """A sidecar that was read, and the state of its file then; None where it is no track's."""

    state: tuple[int, int]
    track: Track | None


class Sidecars:
    """Safe for several threads: each look replaces what the last one found as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the folder could not be read when it was last looked at; None where it could."""
        return self._problem

    def read(self) -> list[Track]:
        """What the sidecars say, in no order; nothing where the folder cannot be read.

        `problem` says so then, and the log once.
        """
        found: dict[str, _Known] = {}
        problem: str | None = None
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".json") and (known := self._look(entry)) is not None:
                        found[entry.name] = known
        except FileNotFoundError:
            pass  # the folder is made when the first track is
        except OSError as error:
            problem = f"The track folder {self._folder} cannot be read: {error.strerror}."
        if problem is not None and problem != self._problem:
            log.warning("%s", problem)
        self._known, self._problem = found, problem
        return [known.track for known in found.values() if known.track is not None]

    def _look(self, entry: os.DirEntry[str]) -> _Known | None:
        try:
            status = entry.stat()
        except OSError:  # gone in this moment
            return None
        # Two changes may fall into one tick of the file system's clock, but not into one file:
        # every change makes a new one.
        state = (status.st_mtime_ns, status.st_ino)
        known = self._known.get(entry.name)
        if known is not None and known.state == state:
            return known
        track = read_sidecar(Path(entry.path))
        if track is None and _SIDECAR.match(entry.name) and Path(entry.path).exists():
            log.warning("%s is not what a track's sidecar should be; it is left alone.", entry.path)
        return _Known(state, track)
