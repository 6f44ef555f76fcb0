"""`lofi-daemon play FILE…`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from lofi_daemon.config import Settings
from lofi_daemon.errors import AudioPlaybackError, LofiError
from lofi_daemon.player.events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackSilent,
    PlaybackStarted,
)
from lofi_daemon.player.gain import playback_gain, track_gain
from lofi_daemon.player.playback import AT_THE_BEGINNING_SEC
from lofi_daemon.player.sleep import SleepTimer
from lofi_daemon.player.turn import Turn
from lofi_daemon.player.turntable import Turntable
from lofi_daemon.sound.files import SoundFile
from lofi_daemon.sound.measure import Abandoned, estimated_loudness, measure
from lofi_daemon.terminal import transport
from lofi_daemon.terminal.display import listen
from lofi_daemon.terminal.screen import View
from lofi_daemon.text import shown
from lofi_daemon.tracks.sidecar import read_sidecar

# A file of this length is measured in the time that nobody notices.
MEASURED_AT_ONCE_SEC = 60.0


@dataclass(frozen=True)
class KnownFile:
    """What is known of a file. duration_sec is None, and waveform empty, until it is measured."""

    path: Path
    title: str
    gain: float
    waveform: list[float] = field(default_factory=list[float])
    duration_sec: float | None = None


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Play files in order; the exit status. Raises LofiError when none can be played."""
    return asyncio.run(_play_files(settings, options.files, loop=options.loop))


async def _play_files(settings: Settings, paths: list[Path], *, loop: bool) -> int:
    finished = asyncio.Event()
    listening = FileListening(paths, finished, device=settings.audio_device, loop=loop)
    try:
        await listening.start()
        await listen(listening, finished, settings.cache_folder / "radio.log")
    finally:
        await listening.close()
    return 0


class FileListening:
    """Files one after the other. The entry number of an item is its place, counted on in a loop."""

    def __init__(
        self, paths: list[Path], finished: asyncio.Event, *, device: str | None, loop: bool
    ) -> None:
        self.turntable = Turntable(self._on_told, device=device)
        self._sleep = SleepTimer(self.turntable, self._fall_silent)
        self._paths = [path.absolute() for path in paths]
        self._loop = loop
        self._finished = finished
        self._known: dict[Path, KnownFile] = {}
        self._measuring: asyncio.Task[None] | None = None
        self._closed = False
        self._playing = 0
        self._notice: str | None = None
        self._preparing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Play the first file that can be played. Raises the last one's error when none can."""
        for place in range(len(self._paths)):
            try:
                await self.turntable.play(await self._turn(place))
                return
            except AudioPlaybackError as error:
                self._notice = error.message
                if place == len(self._paths) - 1:
                    raise

    async def close(self) -> None:
        self._closed = True
        await self.turntable.close()

    def view(self) -> View:
        table, count = self.turntable.table, len(self._paths)
        file = self._known.get(self._paths[self._playing % count])
        length = file.duration_sec or 0.0 if file is not None else 0.0
        return View(
            heading=f"lofi play · {self._playing % count + 1} of {count}",
            state=table.state,
            title=file.title if file is not None and table.playing is not None else "",
            position_sec=self.turntable.position_sec,
            duration_sec=table.duration_sec or length,
            volume=table.volume,
            muted=table.muted,
            loop="playlist" if self._loop else "off",
            stops_in_sec=self._sleep.left_sec,
            waveform=file.waveform if file is not None else (),
            upcoming=self._upcoming(),
            notice=self._notice,
        )

    async def press(self, key: str) -> None:
        try:
            if key == "n":
                await self.turntable.skip()
            elif key == "p":
                await self._back()
            elif key == "r":
                self._loop = not self._loop
                await self._prepare_next()
            else:
                await transport.press(self.turntable, self._sleep, key)
        except LofiError as error:
            self._notice = error.message

    async def _back(self) -> None:
        """To the beginning of the file, and from there to the file before it."""
        if self._playing == 0 or self.turntable.position_sec > AT_THE_BEGINNING_SEC:
            await self.turntable.seek(0.0)
        else:
            await self.turntable.play(await self._turn(self._playing - 1))

    async def _fall_silent(self) -> None:
        await self.turntable.stop()

    def _upcoming(self) -> str | None:
        following = self._playing + 1
        if following < len(self._paths) or (self._loop and self._paths):
            return shown(str(self._paths[following % len(self._paths)].stem))
        return None

    def _on_told(self, event: PlaybackEvent) -> None:
        if isinstance(event, PlaybackStarted):
            self._playing = event.turn.entry
            loop = asyncio.get_running_loop()
            self._preparing = loop.create_task(self._prepare_next())
            if self._measuring is None or self._measuring.done():
                self._measuring = loop.create_task(self._measure())
        elif isinstance(event, PlaybackEnded) and event.error is not None:
            self._notice = event.error.message
        elif isinstance(event, PlaybackSilent):
            self._finished.set()

    async def _prepare_next(self) -> None:
        """Have the next file ready; what cannot be played is named and passed over."""
        place, tries = self._playing + 1, len(self._paths)
        while tries > 0 and (self._loop or place < len(self._paths)):
            try:
                await self.turntable.set_next(await self._turn(place))
                return
            except AudioPlaybackError as error:
                self._notice = error.message
                place, tries = place + 1, tries - 1
            except LofiError as error:
                self._notice = error.message
                return
        await self.turntable.set_next(None)

    async def _measure(self) -> None:
        """Find out what is not known yet of what plays, while it plays."""
        while True:
            place = self._playing
            file = self._known[self._paths[place % len(self._paths)]]
            if file.duration_sec is not None:
                return

            def wanted(place: int = place) -> bool:
                return place == self._playing and not self._closed

            try:
                better = await asyncio.to_thread(measured, file, wanted)
            except Abandoned:
                if self._closed:
                    return
                continue
            except AudioPlaybackError:  # the player says it where it gets there
                return
            self._known[file.path] = better
            await self.turntable.set_level(place, better.gain)

    async def _turn(self, place: int) -> Turn:
        path = self._paths[place % len(self._paths)]
        if path not in self._known:
            self._known[path] = await asyncio.to_thread(look_at, path)
        return Turn(place, path, self._known[path].gain)


def look_at(path: Path) -> KnownFile:
    """A file's title and gain: from the sidecar beside it, measured where it is short, estimated.

    An estimated gain never lifts, since what the loudest sample is is not known yet. Raises
    AudioPlaybackError.
    """
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
    sound = measure(file.path, wanted)
    gain = track_gain(sound.loudness_lufs, sound.true_peak)
    return replace(file, gain=gain, waveform=sound.waveform, duration_sec=sound.duration_sec)
