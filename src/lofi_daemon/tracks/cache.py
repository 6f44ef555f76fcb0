"""The folder of finished tracks.

A track is two files: `<track_id>.wav` (or .flac) and the sidecar `<track_id>.json`; a third,
`<track_id>.npz`, holds what the model made it of, where that was kept, and goes with it. All are
written under a temporary name, synced, and renamed one after the other, the sidecar last: the
sidecar is what makes a track, so at every instant there is a whole track or none. Short changes
to the folder happen under a lock that other daemons on the same folder respect; a long write
holds only its own temporary file. A track that the folder did not take lies elsewhere (`refuge`
says where) and is otherwise a track like the others, for as long as this process lives.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.errors import CacheWriteFailed, TrackNotFound
from lofi_daemon.files.locking import LOCK_FILE, folder_lock
from lofi_daemon.files.private import mend_file_mode, mode_of_files, private_folder
from lofi_daemon.files.temporary import (
    TemporaryFile,
    is_abandoned,
    stem_of,
    sync_folder,
    temporary_file,
)
from lofi_daemon.tracks.eviction import to_evict
from lofi_daemon.tracks.identity import is_track_id
from lofi_daemon.tracks.sidecar import Track, changed_sidecar, moment_after, read_sidecar
from lofi_daemon.tracks.sidecars import Sidecars

log = logging.getLogger(__name__)

_AUDIO = re.compile(r"^[0-9a-f]{16}\.(wav|flac)$")
_TRACK_FILE = re.compile(r"^[0-9a-f]{16}\.(wav|flac|json|npz)$")
_MATERIAL = re.compile(r"^[0-9a-f]{16}\.npz$")


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
class _Elsewhere:
    """Where a track lies that the folder did not take, and why it did not."""

    folder: Path
    why: str


class TrackCache:
    """Safe for several threads, and for several daemons on one folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._open: set[Path] = set()
        self._sidecars = Sidecars(folder)
        self._elsewhere: dict[str, _Elsewhere] = {}
        self._needed: list[Callable[[], AbstractSet[str]]] = []

    # Looking

    @property
    def problem(self) -> str | None:
        """Why the folder could not be read when it was last looked at; None where it could."""
        return self._sidecars.problem

    def path(self, track: Track) -> Path:
        """Absolute path of the audio file."""
        return self._folder_of(track.track_id) / track.file

    def material(self, track: Track) -> Path | None:
        """The file of what the track was made of; None where there is none."""
        path = self._material_path(track)
        return path if track.material_bytes and path.is_file() else None

    def why_elsewhere(self, track_id: str) -> str | None:
        """Why the track does not lie in the folder; None where it does."""
        place = self._elsewhere.get(track_id)
        return None if place is None else place.why

    def find(self, track_id: str) -> Track | None:
        """The track, when it is there and whole."""
        if not is_track_id(track_id):
            return None
        track = read_sidecar(self._sidecar_path(track_id))
        return track if track is not None and self._is_whole(track) else None

    def tracks(self) -> list[Track]:
        """Every whole track, newest first. What the folder does not let see is not among them.

        `problem` says so then, and the log once.
        """
        tracks = self._in_folder() + self._of_elsewhere()
        return sorted(tracks, key=lambda track: (track.created_at, track.track_id), reverse=True)

    def page(
        self, query: str = "", limit: int | None = None, offset: int = 0
    ) -> tuple[list[Track], int]:
        """A page of the tracks that match, and how many they are.

        A track matches whose prompt contains `query` (case aside), or whose id it is.
        Raises CacheWriteFailed where nothing is known because the folder cannot be read.
        """
        tracks = self.tracks()
        if not tracks and self.problem is not None:
            raise CacheWriteFailed(self.problem, path=str(self.folder))
        wanted = query.casefold()
        matching = [
            track
            for track in tracks
            if wanted in track.prompt.casefold() or wanted == track.track_id
        ]
        end = None if limit is None else offset + limit
        return matching[offset:end], len(matching)

    def size(self) -> CacheSize:
        tracks = self.tracks()
        return CacheSize(len(tracks), sum(track.all_bytes for track in tracks))

    def moment(self) -> str:
        """Now, as sidecars write it; later than every time in the folder, whatever the clock."""
        return moment_after(max((track.latest for track in self.tracks()), default=None))

    # Changing

    def prepare(self) -> None:
        """Make the folder, narrow its permissions, and sweep what a crash left behind.

        What other processes are writing is spared. Where the folder cannot be used the log says
        why: a track goes to another place then.
        """
        try:
            private_folder(self.folder)
            with folder_lock(self.folder):
                self._tidy()
        except OSError as error:
            log.warning("%s", write_failed(self.folder, error).message)

    def protect(self, needed: Callable[[], AbstractSet[str]]) -> None:
        """Ask `needed()`, in any thread, for tracks that must not go to make room."""
        self._needed.append(needed)

    @contextmanager
    def temporary(
        self, track_id: str, folder: Path | None = None
    ) -> Generator[TemporaryFile, None, None]:
        """A file in the folder that is gone after the block unless it was published.

        Raises OSError.
        """
        with temporary_file(folder or self.folder, track_id) as file:
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
        material: TemporaryFile | None = None,
    ) -> None:
        """Turn synced temporary files into the track, room for it made as by `evict` before.

        The track is in the folder where they were written. Raises OSError. Where no room can be
        made the track is there all the same.
        """
        folder = audio.path.parent
        with folder_lock(folder):
            old = read_sidecar(folder / f"{track.track_id}.json")
            try:
                among = self._in_folder() if folder == self.folder else self._of_elsewhere()
                self._make_room(among, coming=track)
            except OSError as error:
                log.warning("The track folder grows over its limit: %s", error)
            audio.publish(folder / track.file)
            if material is not None:
                material.publish(folder / f"{track.track_id}.npz")
            sidecar.publish(folder / f"{track.track_id}.json")
            if old is not None and old.file != track.file:
                (folder / old.file).unlink(missing_ok=True)
            sync_folder(folder)
        if folder == self.folder:
            self._elsewhere.pop(track.track_id, None)

    def lies_elsewhere(self, track_id: str, folder: Path, why: str) -> None:
        """Note that a track was committed in another folder, because this one did not take it."""
        self._elsewhere[track_id] = _Elsewhere(folder, why)

    def keep(self, track_ids: Iterable[str], kept: bool) -> list[Track]:
        """Mark tracks as kept (never evicted) or not; on the disk when this returns.

        Raises TrackNotFound before anything is changed, CacheWriteFailed.
        """
        return self._change(track_ids, kept=kept)

    def played(self, track_id: str) -> None:
        """Note that a track is being played now. Raises TrackNotFound, CacheWriteFailed."""
        self._change([track_id], last_played_at=self.moment())

    def delete(self, track_ids: Iterable[str]) -> tuple[list[str], int]:
        """Delete tracks, kept ones too: the ids deleted and the bytes freed.

        Raises TrackNotFound before anything is deleted, CacheWriteFailed.
        """
        tracks = self._existing(track_ids)
        for folder, its_tracks in self._by_folder(tracks):
            try:
                with folder_lock(folder):
                    for track in its_tracks:
                        self._remove(track)
            except OSError as error:
                raise write_failed(folder, error) from error
        return [track.track_id for track in tracks], sum(track.all_bytes for track in tracks)

    def evict(self) -> list[str]:
        """Delete the least recently played tracks until the folder is within its limit.

        Kept tracks and those that are needed (see `protect`) stay. Raises CacheWriteFailed.
        """
        if sum(track.all_bytes for track in self._in_folder()) <= self.max_bytes:
            return []
        try:
            with folder_lock(self.folder):
                return self._make_room(self._in_folder())
        except OSError as error:
            raise write_failed(self.folder, error) from error

    def _folder_of(self, track_id: str) -> Path:
        place = self._elsewhere.get(track_id)
        return self.folder if place is None else place.folder

    def _in_folder(self) -> list[Track]:
        """The whole tracks of the folder itself, in no order."""
        return [
            track
            for track in self._sidecars.read()
            if track.track_id not in self._elsewhere and self._is_whole(track)
        ]

    def _of_elsewhere(self) -> list[Track]:
        found = [self.find(track_id) for track_id in list(self._elsewhere)]
        return [track for track in found if track is not None]

    def _sidecar_path(self, track_id: str) -> Path:
        return self._folder_of(track_id) / f"{track_id}.json"

    def _material_path(self, track: Track) -> Path:
        return self._folder_of(track.track_id) / f"{track.track_id}.npz"

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

    def _by_folder(self, tracks: Iterable[Track]) -> list[tuple[Path, list[Track]]]:
        folders: dict[Path, list[Track]] = {}
        for track in tracks:
            folders.setdefault(self._folder_of(track.track_id), []).append(track)
        return list(folders.items())

    def _change(self, track_ids: Iterable[str], **changes: object) -> list[Track]:
        changed: list[Track] = []
        for folder, tracks in self._by_folder(self._existing(track_ids)):
            try:
                with folder_lock(folder):
                    for track in tracks:
                        sidecar = self._sidecar_path(track.track_id)
                        with self.temporary(track.track_id, folder) as file:
                            file.write(changed_sidecar(sidecar, **changes))
                            file.sync()
                            file.publish(sidecar)
                        changed.append(track.model_copy(update=changes))
                    sync_folder(folder)
            except FileNotFoundError as error:  # another daemon evicted it in this moment
                raise TrackNotFound(f"A track is gone: {error.filename}.") from error
            except OSError as error:
                raise write_failed(folder, error) from error
        return changed

    def _make_room(self, tracks: list[Track], *, coming: Track | None = None) -> list[str]:
        """Evict what must go, `coming` counted. Only with the folder's lock."""
        protected = frozenset[str]().union(*(needed() for needed in self._needed))
        going = to_evict(tracks, self.max_bytes, protected, coming)
        for track in going:
            self._remove(track)
        return [track.track_id for track in going]

    def _remove(self, track: Track) -> None:
        self._sidecar_path(track.track_id).unlink(missing_ok=True)
        self.path(track).unlink(missing_ok=True)
        self._material_path(track).unlink(missing_ok=True)
        self._elsewhere.pop(track.track_id, None)

    def _tidy(self) -> None:
        """Sweep what a crash left behind; a file is as open as its folder. With the lock only."""
        mode = mode_of_files(self.folder)
        for entry in list(self.folder.iterdir()):
            with suppress(OSError):  # another user's, or gone
                if is_track_id(stem_of(entry.name) or "") and is_abandoned(entry):
                    log.info("Sweeping %s, left behind by a crash.", entry.name)
                    entry.unlink()
                elif (
                    _AUDIO.match(entry.name) or _MATERIAL.match(entry.name)
                ) and not entry.with_suffix(".json").exists():
                    entry.unlink()
                elif _TRACK_FILE.match(entry.name) or entry.name == LOCK_FILE:
                    mend_file_mode(entry, mode)


def _bytes_free(path: Path) -> int | None:
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110 - this one never raises
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
