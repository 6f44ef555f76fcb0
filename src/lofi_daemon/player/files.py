"""Sound files that are no tracks: their names for the music, and what is known of their sound.

The audio libraries are imported where a file is looked at, and not before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.gain import playback_gain, track_gain
from lofi_daemon.text import shown
from lofi_daemon.tracks.sidecar import read_sidecar

# A file of this length is measured in the time that nobody notices.
MEASURED_AT_ONCE_SEC = 60.0
_SCHEME = "file:"


def path_of(track_id: str) -> Path | None:
    """The file that a file: address stands for; None for the id of a track."""
    if not track_id.startswith(_SCHEME):
        return None
    path = urlsplit(track_id).path
    if sys.platform == "win32":
        from urllib.request import url2pathname

        return Path(url2pathname(path))
    return Path(os.fsdecode(unquote_to_bytes(path)))


@dataclass(frozen=True)
class KnownFile:
    """What is known of a file. duration_sec is None, and waveform empty, until it is measured."""

    path: Path
    title: str
    gain: float
    waveform: list[float] = field(default_factory=list[float])
    duration_sec: float | None = None


class Files:
    """What is known of files. Lives in the event loop; `on_measured` gets what is known better."""

    def __init__(self, on_measured: Callable[[KnownFile], None]) -> None:
        self._on_measured = on_measured
        self._known: dict[Path, KnownFile] = {}
        self._heard: Path | None = None
        self._measuring: asyncio.Task[None] | None = None

    def known(self, path: Path) -> KnownFile | None:
        return self._known.get(path)

    async def look_at(self, path: Path) -> KnownFile:
        """Raises AudioPlaybackError where it cannot be played."""
        if path not in self._known:
            self._known[path] = await asyncio.to_thread(look_at, path)
        return self._known[path]

    def listen_to(self, path: Path | None) -> None:
        """Find out what is not known yet of this one, and of no other, while it plays."""
        self._heard = path
        if path is not None and (self._measuring is None or self._measuring.done()):
            self._measuring = asyncio.get_running_loop().create_task(self._measure())

    async def _measure(self) -> None:
        from lofi_daemon.sound.measure import Abandoned

        while (path := self._heard) is not None:

            def wanted(path: Path = path) -> bool:
                return path == self._heard

            try:
                file = await self.look_at(path)
                if file.duration_sec is not None:
                    return
                file = await asyncio.to_thread(measured, file, wanted)
            except Abandoned:
                continue
            except AudioPlaybackError:  # the player says it where it gets there
                return
            self._known[path] = file
            self._on_measured(file)


def look_at(path: Path) -> KnownFile:
    """A file's title and gain: from the sidecar beside it, measured where it is short, estimated.

    An estimated gain never lifts, since what the loudest sample is is not known yet. Raises
    AudioPlaybackError.
    """
    from lofi_daemon.sound.files import SoundFile
    from lofi_daemon.sound.measure import estimated_loudness

    track = read_sidecar(path.with_suffix(".json")) if path.stem else None
    if track is not None and track.file == path.name:
        waveform = list(track.waveform)
        return KnownFile(path, track.prompt, playback_gain(track), waveform, track.duration_sec)
    file = KnownFile(path, shown(str(path.stem)), 1.0)
    with SoundFile(path) as opened:
        frames, rate = opened.known_frames, opened.samplerate
    if frames is not None and frames <= MEASURED_AT_ONCE_SEC * rate:
        return measured(file)
    return replace(file, gain=min(1.0, track_gain(estimated_loudness(path), None)))


def measured(file: KnownFile, wanted: Callable[[], bool] = lambda: True) -> KnownFile:
    """The file with all there is to know of its sound. Raises AudioPlaybackError and Abandoned."""
    from lofi_daemon.sound.measure import measure

    sound = measure(file.path, wanted)
    gain = track_gain(sound.loudness_lufs, sound.true_peak)
    return replace(file, gain=gain, waveform=sound.waveform, duration_sec=sound.duration_sec)
