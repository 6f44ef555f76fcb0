"""A track that is heard while it is made: what can be heard of it, and when that may begin."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lofi_daemon.files.private import private_folder
from lofi_daemon.files.temporary import TemporaryFile
from lofi_daemon.sound.growth import Growth
from lofi_daemon.tracks import TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

if TYPE_CHECKING:
    from lofi_daemon.sound.clip import Samples
    from lofi_daemon.sound.heard import HeardSound
    from lofi_daemon.sound.stream import SoundFacts

log = logging.getLogger(__name__)

LEAST_SEC = 1.0
# Work is expected to take this share of the time that there is for it, but for a reserve: a short
# piece can be late by a good part of itself where other programs want the processor too.
AT_MOST = 0.9
RESERVE_SEC = 0.25


def may_begin(there_sec: float, pieces_to_come_sec: Sequence[float], eta_sec: float) -> bool:
    """Whether a track that begins to play now will have each piece before it is to be heard.

    there_sec: what can be heard already; eta_sec: until the last piece is there, each taking its
    share of that. A second has to be there in any case.
    """
    if there_sec < LEAST_SEC:
        return False
    to_come = sum(pieces_to_come_sec)
    done_at, there = 0.0, there_sec
    for piece in pieces_to_come_sec:
        done_at += eta_sec * piece / to_come
        if done_at > AT_MOST * there - RESERVE_SEC:
            return False
        there += piece
    return True


class HeardCopy:
    """Listens to a track that is being made and writes what can be heard of it into a growing file.

    The finished track does not depend on it: where the file cannot be written, the log says so, and
    the track is heard when it is ready. eta_sec(): until the track is ready. on_audible is called
    once, in the thread that makes the track, as soon as it may begin to play.
    """

    def __init__(
        self,
        tracks: TrackCache,
        track_id: str,
        prompt: str,
        *,
        eta_sec: Callable[[], float],
        on_audible: Callable[[GrowingTrack], None],
    ) -> None:
        self._tracks = tracks
        self._track_id = track_id
        self._prompt = prompt
        self._eta_sec = eta_sec
        self._on_audible: Callable[[GrowingTrack], None] | None = on_audible
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        self._file: TemporaryFile | None = None
        self._sound: HeardSound | None = None
        self._growth = Growth(1, 1, 0)
        self._pieces: list[float] = []
        self._there = 0
        self._closed = False

    def begin(self, facts: SoundFacts) -> None:
        from lofi_daemon.sound.heard import HeardSound

        self._growth = Growth(facts.sample_rate, facts.channels, facts.frames)
        self._pieces = [frames / facts.sample_rate for frames in facts.pieces]
        with self._lock:
            if self._closed:
                return
            try:
                private_folder(self._tracks.folder)
                file = self._tracks.temporary(self._track_id)
                self._file = self._closing.enter_context(file)
            except OSError as error:
                self._cannot_be_written(error)
            self._sound = HeardSound(facts)

    def hear(self, piece: Samples) -> None:
        if self._sound is not None and self._file is not None:
            self._write(self._sound.heard(piece))
            self._pieces = self._pieces[1:]
            self.look()

    def finish(self) -> None:
        """All pieces were heard."""
        if self._sound is not None and self._file is not None:
            self._write(self._sound.rest())
            self._pieces = []
            self.look()

    def close(self) -> None:
        """The file goes; who has it open reads on. From any thread, more than once."""
        with self._lock, contextlib.suppress(OSError):  # Windows: it is swept later
            self._closed, self._file = True, None
            self._closing.close()

    def _write(self, samples: Samples) -> None:
        from lofi_daemon.sound.growing import as_bytes

        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(as_bytes(samples))
            except OSError as error:
                self._cannot_be_written(error)
                return
            self._there += samples.shape[1]

    def look(self) -> None:
        """Tell once that it may begin; between two pieces too, as what is left to do gets less."""
        file, tell = self._file, self._on_audible
        if file is None or tell is None:
            return
        there_sec = self._there / self._growth.sample_rate
        if may_begin(there_sec, self._pieces, self._eta_sec()):
            self._on_audible = None
            tell(GrowingTrack(self._track_id, self._prompt, file.path, self._growth))

    def _cannot_be_written(self, error: OSError) -> None:
        log.warning("Track %s is not heard before it is ready: %s", self._track_id, error)
        self._on_audible = None
        self._file = None
