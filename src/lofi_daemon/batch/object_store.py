"""A library in an object store (s3://, gs://, file://), through Apache Arrow's file systems.

There a file appears whole or not at all, so a track is two uploads, the sidecar last. What is there
is listed once: asking for each of a million tracks would take longer than making some of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lofi_daemon.batch.library import Encode, name_of
from lofi_daemon.errors import CacheWriteFailed, ConfigurationError
from lofi_daemon.files.temporary import temporary_file
from lofi_daemon.tracks.sidecar import MAX_SIDECAR_BYTES, Track, read_sidecar, sidecar_text


class ObjectLibrary:
    """Does what `Library` does, at a URI. Needs pyarrow. Credentials are those of the store."""

    def __init__(self, uri: str) -> None:
        """Raises ConfigurationError where nothing is known of such a URI."""
        try:
            from pyarrow import fs
        except ImportError as error:
            raise ConfigurationError(
                f"--output {uri} needs pyarrow, which is not installed.",
                hint="`pip install 'lofi-daemon[cluster]'` brings it; a folder needs nothing.",
            ) from error
        self._uri = uri
        self._fs: Any = fs
        try:
            self._store, self._root = fs.FileSystem.from_uri(uri)
        except Exception as error:  # Arrow has kinds of its own, and OSError
            raise self._unusable(error) from error
        self._sizes: dict[str, int] | None = None

    def prepare(self) -> None:
        """Raises ConfigurationError."""
        try:
            self._store.create_dir(self._root, recursive=True)
        except Exception as error:
            raise self._unusable(error) from error

    def find(self, track_id: str) -> Track | None:
        """The track, where it is there whole."""
        sizes = self._listed()
        sidecar = f"{track_id[:2]}/{track_id}.json"
        if not 0 < sizes.get(sidecar, 0) <= MAX_SIDECAR_BYTES:
            return None
        with tempfile.TemporaryDirectory(prefix="lofi-batch-") as folder:
            copy = Path(folder) / f"{track_id}.json"
            try:
                with self._store.open_input_stream(f"{self._root}/{sidecar}") as stream:
                    copy.write_bytes(stream.read())
            except OSError:
                return None
            track = read_sidecar(copy)
        return track if track is not None and sizes.get(name_of(track)) == track.bytes else None

    def put(self, track_id: str, encode: Encode) -> Track:
        """Raises what `encode` raises, and CacheWriteFailed where the store does not take it."""
        try:
            with tempfile.TemporaryDirectory(prefix="lofi-batch-") as folder:
                with temporary_file(Path(folder), track_id) as audio:
                    track = encode(audio)
                    self._upload(audio.path, name_of(track))
                self._write(f"{track_id[:2]}/{track_id}.json", sidecar_text(track))
        except OSError as error:
            raise CacheWriteFailed(
                f"{self._uri} cannot be written: {error}",
                hint="Look at the store and its credentials; the same command goes on with what is "
                "missing.",
            ) from error
        if self._sizes is not None:
            self._sizes[name_of(track)] = track.bytes
            self._sizes[f"{track_id[:2]}/{track_id}.json"] = 1
        return track

    @contextmanager
    def notes(self) -> Generator[Path, None, None]:
        """A folder for what the batch says of itself; its files lie in the store afterwards."""
        with tempfile.TemporaryDirectory(prefix="lofi-batch-") as folder:
            try:
                yield Path(folder)
            finally:
                for file in sorted(Path(folder).iterdir()):
                    self._upload(file, file.name)

    def _listed(self) -> dict[str, int]:
        if self._sizes is None:
            chosen = self._fs.FileSelector(self._root, allow_not_found=True, recursive=True)
            start = len(self._root) + 1
            self._sizes = {
                entry.path[start:]: entry.size
                for entry in self._store.get_file_info(chosen)
                if entry.is_file
            }
        return self._sizes

    def _upload(self, file: Path, name: str) -> None:
        with file.open("rb") as source, self._open(name) as target:
            while piece := source.read(1 << 20):
                target.write(piece)

    def _write(self, name: str, content: bytes) -> None:
        with self._open(name) as target:
            target.write(content)

    def _open(self, name: str) -> Any:
        folder = name.rpartition("/")[0]
        if folder and self._store.type_name == "local":
            self._store.create_dir(f"{self._root}/{folder}", recursive=True)
        return self._store.open_output_stream(f"{self._root}/{name}")

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"--output {self._uri}: {str(error).splitlines()[0]}",
            hint="Name a folder, or a URI such as s3://bucket/folder.",
        )
