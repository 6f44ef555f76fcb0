"""Where a finished track goes when its folder does not take it: it took minutes to make."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from lofi_daemon.config import user_folder
from lofi_daemon.errors import CacheWriteFailed, ConfigurationError
from lofi_daemon.files.private import private_folder
from lofi_daemon.tracks.cache import TrackCache, write_failed
from lofi_daemon.tracks.sidecar import Track

log = logging.getLogger(__name__)


def in_a_place_that_works(
    cache: TrackCache, write_into: Callable[[Path], Track], bytes_needed: int
) -> Track:
    """Write a track into the cache's folder, else into the first refuge that takes it.

    Where it is then, `cache.path` says. Raises CacheWriteFailed telling of the cache's folder.
    """
    try:
        try:
            private_folder(cache.folder)
            return write_into(cache.folder)
        except FileNotFoundError:  # the folder vanished meanwhile, which making it anew may mend
            private_folder(cache.folder)
            return write_into(cache.folder)
    except OSError as error:
        failure = write_failed(cache.folder, error, bytes_needed)
    for refuge in refuges():
        with suppress(OSError), refuge as folder:
            track = write_into(folder)
            why = f"{failure.message} The track is {folder / track.file} instead."
            cache.lies_elsewhere(track.track_id, folder, why)
            log.warning("%s", why)
            return track
    raise CacheWriteFailed(
        f"{failure.message} Nor is there another place for the track.", **failure.data
    )


def refuges() -> Iterator[AbstractContextManager[Path]]:
    """The user's folder for data, then one of our own among the temporary files."""
    with suppress(ConfigurationError):  # there is no home
        yield _folder(user_folder("data") / "tracks")
    yield _temporary_folder()


@contextmanager
def _folder(folder: Path) -> Generator[Path, None, None]:
    private_folder(folder)
    yield folder


@contextmanager
def _temporary_folder() -> Generator[Path, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="lofi-"))
    try:
        yield folder
    finally:
        with suppress(OSError):  # it stays where a track is in it
            folder.rmdir()
