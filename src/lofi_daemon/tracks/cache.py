"""The folder of finished tracks.

A track is two files: `<track_id>.wav` (or .flac) and the sidecar `<track_id>.json`. Both are
written under a temporary name, synced, and renamed one after the other, the sidecar last: the
sidecar is what makes a track, so at every instant there is a whole track or none. Short changes
to the folder happen under a lock that other daemons on the same folder respect; a long write
holds only its own temporary file.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Generator, Iterable
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.errors import CacheWriteFailed, TrackNotFound
from lofi_daemon.tracks.locking import folder_lock, try_lock
from lofi_daemon.tracks.sidecar import (
    Track,
    changed_sidecar,
    now,
    read_sidecar,
)

log = logging.getLogger(__name__)

_TEMPORARY = re.compile(r"^\.[0-9a-f]{16}-[0-9a-f]{8}\.partial$")
_TRACK_ID = re.compile("^[0-9a-f]{16}$")
_BINARY: int = getattr(os, "O_BINARY", 0)
_AUDIO = re.compile(r"^[0-9a-f]{16}\.(wav|flac)$")


def write_failed(folder: Path, error: OSError, bytes_needed: int | None = None) -> CacheWriteFailed:
    """What to raise when the folder could not be written: the path, bytes needed and free."""
    free = _bytes_free(folder)
    figures = ""
    if bytes_needed is not None and free is not None:
        figures = f" {bytes_needed} bytes are needed, {free} are free."
    return CacheWriteFailed(
        f"The track folder {folder} cannot be written: {error.strerror or error}.{figures}",
        path=str(folder),
        bytes_needed=bytes_needed,
        bytes_free=free,
    )


class TemporaryFile:
    """A file being written in the track folder; other daemons see that it is in use."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
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
        self._path.replace(target)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


@dataclass(frozen=True)
class CacheSize:
    tracks: int
    bytes: int


class TrackCache:
    """Safe for several threads, and for several daemons on one folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._open: set[Path] = set()
        self._known: dict[str, tuple[int, Track]] = {}  # file name → modification time, track

    # Looking

    def path(self, track: Track) -> Path:
        """Absolute path of the audio file."""
        return self.folder / track.file

    def find(self, track_id: str) -> Track | None:
        """The track, when it is there and whole."""
        if not _TRACK_ID.fullmatch(track_id):
            return None
        track = read_sidecar(self._sidecar_path(track_id))
        return track if track is not None and self._is_whole(track) else None

    def tracks(self) -> list[Track]:
        """Every whole track, newest first."""
        found: dict[str, tuple[int, Track]] = {}
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    with suppress(OSError):
                        changed = entry.stat().st_mtime_ns
                        known = self._known.get(entry.name)
                        if known is None or known[0] != changed:
                            track = read_sidecar(Path(entry.path))
                            if track is None or entry.name != f"{track.track_id}.json":
                                continue
                            known = (changed, track)
                        found[entry.name] = known
        self._known = found
        tracks = [track for _, track in found.values() if self._is_whole(track)]
        return sorted(tracks, key=lambda track: (track.created_at, track.track_id), reverse=True)

    def page(
        self, query: str = "", limit: int | None = None, offset: int = 0
    ) -> tuple[list[Track], int]:
        """A page of the tracks whose prompt contains `query` (case aside), and how many match."""
        wanted = query.casefold()
        matching = [track for track in self.tracks() if wanted in track.prompt.casefold()]
        end = None if limit is None else offset + limit
        return matching[offset:end], len(matching)

    def size(self) -> CacheSize:
        tracks = self.tracks()
        return CacheSize(len(tracks), sum(track.bytes for track in tracks))

    # Changing

    def prepare(self) -> None:
        """Make the folder and sweep what a crash left behind, sparing what others are writing.

        Raises CacheWriteFailed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with folder_lock(self.folder):
                self._sweep()
        except OSError as error:
            raise write_failed(self.folder, error) from error

    @contextmanager
    def temporary(self, track_id: str) -> Generator[TemporaryFile, None, None]:
        """A file in the folder that is gone after the block unless it was published.

        Raises OSError.
        """
        while True:
            path = self.folder / f".{track_id}-{secrets.token_hex(4)}.partial"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o644)
            # A sweep may have come between creation and lock; then it is somebody else's.
            if try_lock(descriptor) and path.exists():
                break
            os.close(descriptor)
        file = TemporaryFile(path, descriptor)
        self._open.add(path)
        try:
            yield file
        finally:
            file.close()
            path.unlink(missing_ok=True)
            self._open.discard(path)

    def abandon(self) -> None:
        """Remove what is being written; for a process that ends without waiting for its threads."""
        for path in list(self._open):
            with suppress(OSError):
                path.unlink()

    def commit(self, audio: TemporaryFile, sidecar: TemporaryFile, track: Track) -> None:
        """Turn two synced temporary files into the track. Raises OSError."""
        with folder_lock(self.folder):
            old = read_sidecar(self._sidecar_path(track.track_id))
            audio.publish(self.path(track))
            sidecar.publish(self._sidecar_path(track.track_id))
            if old is not None and old.file != track.file:
                self.path(old).unlink(missing_ok=True)
            _sync_folder(self.folder)

    def keep(self, track_ids: Iterable[str], kept: bool) -> list[Track]:
        """Mark tracks as kept (never evicted) or not.

        Raises TrackNotFound before anything is changed, CacheWriteFailed.
        """
        return self._change(track_ids, kept=kept)

    def played(self, track_id: str) -> None:
        """Note that a track is being played now. Raises TrackNotFound, CacheWriteFailed."""
        self._change([track_id], last_played_at=now())

    def delete(self, track_ids: Iterable[str]) -> tuple[list[str], int]:
        """Delete tracks, kept ones too: the ids deleted and the bytes freed.

        Raises TrackNotFound before anything is deleted, CacheWriteFailed.
        """
        tracks = self._existing(track_ids)
        try:
            with folder_lock(self.folder):
                for track in tracks:
                    self._remove(track)
        except OSError as error:
            raise write_failed(self.folder, error) from error
        return [track.track_id for track in tracks], sum(track.bytes for track in tracks)

    def evict(self, protected: AbstractSet[str] = frozenset()) -> list[str]:
        """Delete the least recently played tracks until the folder is within its limit.

        Kept tracks and `protected` ones (playing, queued, just made) stay. Raises CacheWriteFailed.
        """
        if self.size().bytes <= self.max_bytes:
            return []
        evicted: list[str] = []
        try:
            with folder_lock(self.folder):
                tracks = self.tracks()
                excess = sum(track.bytes for track in tracks) - self.max_bytes
                for track in sorted(tracks, key=lambda track: track.last_used_at):
                    if excess <= 0:
                        break
                    if not track.kept and track.track_id not in protected:
                        self._remove(track)
                        excess -= track.bytes
                        evicted.append(track.track_id)
        except OSError as error:
            raise write_failed(self.folder, error) from error
        return evicted

    def _sidecar_path(self, track_id: str) -> Path:
        return self.folder / f"{track_id}.json"

    def _is_whole(self, track: Track) -> bool:
        try:
            return self.path(track).stat().st_size == track.bytes
        except OSError:
            return False

    def _existing(self, track_ids: Iterable[str]) -> list[Track]:
        tracks: dict[str, Track] = {}
        for track_id in track_ids:
            track = self.find(track_id)
            if track is None:
                raise TrackNotFound(f"There is no track '{track_id[:64]}'.", track_id=track_id[:64])
            tracks[track_id] = track
        return list(tracks.values())

    def _change(self, track_ids: Iterable[str], **changes: object) -> list[Track]:
        tracks = self._existing(track_ids)
        changed: list[Track] = []
        try:
            with folder_lock(self.folder):
                for track in tracks:
                    sidecar = self._sidecar_path(track.track_id)
                    with self.temporary(track.track_id) as file:
                        file.write(changed_sidecar(sidecar, **changes))
                        file.publish(sidecar)
                    changed.append(track.model_copy(update=changes))
        except FileNotFoundError as error:  # another daemon evicted it in this moment
            raise TrackNotFound(f"A track is gone: {error.filename}.") from error
        except OSError as error:
            raise write_failed(self.folder, error) from error
        return changed

    def _remove(self, track: Track) -> None:
        self._sidecar_path(track.track_id).unlink(missing_ok=True)
        self.path(track).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for entry in list(self.folder.iterdir()):
            if _TEMPORARY.match(entry.name) and _is_abandoned(entry):
                log.info("Sweeping %s, left behind by a crash.", entry.name)
                with suppress(OSError):
                    entry.unlink()
            elif _AUDIO.match(entry.name) and not entry.with_suffix(".json").exists():
                with suppress(OSError):
                    entry.unlink()


def _is_abandoned(temporary: Path) -> bool:
    """Whether no living process holds the file."""
    try:
        descriptor = os.open(temporary, os.O_RDWR)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make renames survive a power cut, where folders can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _bytes_free(path: Path) -> int | None:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
