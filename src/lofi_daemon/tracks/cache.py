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
import shutil
from collections.abc import Generator, Iterable
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.errors import CacheWriteFailed, TrackNotFound
from lofi_daemon.tracks.locking import folder_lock
from lofi_daemon.tracks.sidecar import Track, changed_sidecar, now, read_sidecar
from lofi_daemon.tracks.temporary import (
    TemporaryFile,
    is_abandoned,
    sync_folder,
    temporary_file,
)

log = logging.getLogger(__name__)

_TRACK_ID = re.compile("^[0-9a-f]{16}$")
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


@dataclass(frozen=True)
class CacheSize:
    tracks: int
    bytes: int


@dataclass(frozen=True)
class _Known:
    """A sidecar that was read, and the state of its file then."""

    state: tuple[int, int]
    track: Track


class TrackCache:
    """Safe for several threads, and for several daemons on one folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._open: set[Path] = set()
        self._known: dict[str, _Known] = {}

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
        """Every whole track, newest first. Raises CacheWriteFailed when it may not look."""
        found: dict[str, _Known] = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".json") and (known := self._read(entry)) is not None:
                        found[entry.name] = known
        except (FileNotFoundError, NotADirectoryError):
            pass  # the folder is made when the first track is
        except OSError as error:
            raise CacheWriteFailed(
                f"The track folder {self.folder} cannot be read: {error.strerror}.",
                path=str(self.folder),
            ) from error
        self._known = found
        tracks = [known.track for known in found.values() if self._is_whole(known.track)]
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
        with temporary_file(self.folder, track_id) as file:
            self._open.add(file.path)
            try:
                yield file
            finally:
                self._open.discard(file.path)

    def abandon(self) -> None:
        """Remove what is being written; for a process that ends without waiting for its threads."""
        for path in list(self._open):
            with suppress(OSError):
                path.unlink()

    def commit(
        self,
        audio: TemporaryFile,
        sidecar: TemporaryFile,
        track: Track,
        protected: AbstractSet[str] = frozenset(),
    ) -> None:
        """Turn two synced temporary files into the track, room for it made as by `evict` before.

        Raises OSError. Where no room can be made the track is there all the same.
        """
        with folder_lock(self.folder):
            old = read_sidecar(self._sidecar_path(track.track_id))
            try:
                self._make_room(protected, coming=track)
            except (OSError, CacheWriteFailed) as error:
                log.warning("The track folder grows over its limit: %s", error)
            audio.publish(self.path(track))
            sidecar.publish(self._sidecar_path(track.track_id))
            if old is not None and old.file != track.file:
                self.path(old).unlink(missing_ok=True)
            sync_folder(self.folder)

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

        Kept tracks and `protected` ones (playing, queued) stay. Raises CacheWriteFailed.
        """
        if self.size().bytes <= self.max_bytes:
            return []
        try:
            with folder_lock(self.folder):
                return self._make_room(protected)
        except OSError as error:
            raise write_failed(self.folder, error) from error

    def _read(self, entry: os.DirEntry[str]) -> _Known | None:
        """A sidecar as it is now: from memory where it did not change."""
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
        if track is None or entry.name != f"{track.track_id}.json":
            return None
        return _Known(state, track)

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

    def _make_room(self, protected: AbstractSet[str], *, coming: Track | None = None) -> list[str]:
        """Evict until all is within the limit, `coming` too, in the place of its older self.

        Only with the folder's lock.
        """
        tracks, needed = self.tracks(), 0
        if coming is not None:
            tracks = [track for track in tracks if track.track_id != coming.track_id]
            needed = coming.bytes
        excess = sum(track.bytes for track in tracks) + needed - self.max_bytes
        evicted: list[str] = []
        for track in sorted(tracks, key=lambda track: track.last_used_at):
            if excess <= 0:
                break
            if not track.kept and track.track_id not in protected:
                self._remove(track)
                excess -= track.bytes
                evicted.append(track.track_id)
        return evicted

    def _remove(self, track: Track) -> None:
        self._sidecar_path(track.track_id).unlink(missing_ok=True)
        self.path(track).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for entry in list(self.folder.iterdir()):
            if is_abandoned(entry):
                log.info("Sweeping %s, left behind by a crash.", entry.name)
                with suppress(OSError):
                    entry.unlink()
            elif _AUDIO.match(entry.name) and not entry.with_suffix(".json").exists():
                with suppress(OSError):
                    entry.unlink()


def _bytes_free(path: Path) -> int | None:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
