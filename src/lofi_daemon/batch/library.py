"""The folder that a batch fills: `ab/ab12….flac` and its sidecar, which is written last.

The folder is the only truth about what is done: a track is there when its sidecar is and its size
is what the sidecar says. There is no limit, no lock over the whole and no listing, so that the
hundred-thousandth track costs what the first did.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from lofi_daemon.errors import CacheWriteFailed, ConfigurationError
from lofi_daemon.files.temporary import TemporaryFile, is_abandoned, sync_folder, temporary_file
from lofi_daemon.tracks.sidecar import Track, read_sidecar, sidecar_text

Encode = Callable[[TemporaryFile], Track]


class AnyLibrary(Protocol):
    """Where the tracks of a batch go: a folder, or a place in an object store."""

    def prepare(self) -> None: ...

    def find(self, track_id: str) -> Track | None: ...

    def put(self, track_id: str, encode: Encode) -> Track: ...

    def notes(self) -> AbstractContextManager[Path]: ...


def library_at(output: str) -> AnyLibrary:
    """The library of a folder or a URI. Raises ConfigurationError."""
    if "://" in output:
        from lofi_daemon.batch.object_store import ObjectLibrary

        return ObjectLibrary(output)
    return Library(Path(output))


def name_of(track: Track) -> str:
    """The track's sound, relative to the library."""
    return f"{track.track_id[:2]}/{track.file}"


class Library:
    """A folder of tracks. Several processes may fill one: each track appears whole or not at all,
    and whoever comes second puts the same track in its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, and sweep what killed processes left. Raises ConfigurationError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for entry in self.folder.glob("[0-9a-f][0-9a-f]/.*.partial"):
                if is_abandoned(entry):
                    with suppress(OSError):
                        entry.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"--output {self.folder}: {error.strerror or error}.",
                hint="Name a folder that can be written.",
            ) from error

    def find(self, track_id: str) -> Track | None:
        """The track, where it is there whole."""
        sidecar = f"{self.folder}/{track_id[:2]}/{track_id}.json"
        if not os.access(sidecar, os.F_OK):  # the quickest way to ask for a million of them
            return None
        track = read_sidecar(Path(sidecar))
        if track is None or track.track_id != track_id:
            return None
        try:
            whole = (self.folder / name_of(track)).stat().st_size == track.bytes
        except OSError:
            return None
        return track if whole else None

    def put(self, track_id: str, encode: Encode) -> Track:
        """Have the track written into an open file of the library, and give it its name.

        Raises what `encode` raises, and CacheWriteFailed where the folder does not take it.
        """
        place = self._place(track_id)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with temporary_file(place, track_id, 0o666) as audio:
                track = encode(audio)
                with temporary_file(place, track_id, 0o666) as sidecar:
                    sidecar.write(sidecar_text(track))
                    sidecar.sync()
                    audio.publish(place / track.file)
                    sidecar.publish(place / f"{track_id}.json")
            sync_folder(place)
        except OSError as error:
            raise CacheWriteFailed(
                f"{error.filename or place} cannot be written: {error.strerror or error}",
                hint="Free some space, or name another folder; what is there stays, and the same "
                "command goes on with what is missing.",
            ) from error
        return track

    @contextmanager
    def notes(self) -> Generator[Path, None, None]:
        """The folder for what the batch says of itself."""
        yield self.folder

    def _place(self, track_id: str) -> Path:
        return self.folder / track_id[:2]
