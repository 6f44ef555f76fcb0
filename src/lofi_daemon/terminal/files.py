"""`lofi-daemon play FILE…`."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.config import Settings
from lofi_daemon.errors import AudioPlaybackError, LofiError
from lofi_daemon.player.events import Ended, PlayerEvent, Started, Stopped
from lofi_daemon.player.gain import track_gain
from lofi_daemon.player.process import Item, PlayerProcess
from lofi_daemon.terminal.display import listen
from lofi_daemon.terminal.radio import VOLUME_STEP
from lofi_daemon.terminal.screen import View
from lofi_daemon.tracks.sidecar import read_sidecar

WAVEFORM_POINTS = 64


@dataclass(frozen=True)
class SoundFile:
    path: Path
    title: str
    gain: float
    waveform: list[float]


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
        await listening.player.close()
    return 0


class FileListening:
    """Files one after the other. The entry number of an item is its place, counted on in a loop."""

    def __init__(
        self, paths: list[Path], finished: asyncio.Event, *, device: str | None, loop: bool
    ) -> None:
        self.player = PlayerProcess(self._on_event, device=device)
        self._paths = [path.absolute() for path in paths]
        self._loop = loop
        self._finished = finished
        self._known: dict[Path, SoundFile] = {}
        self._playing = 0
        self._notice: str | None = None
        self._preparing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Play the first file that can be played. Raises the last one's error when none can."""
        for place in range(len(self._paths)):
            try:
                await self.player.play(await self._item(place))
                return
            except AudioPlaybackError as error:
                self._notice = error.message
                if place == len(self._paths) - 1:
                    raise

    def view(self) -> View:
        player, count = self.player, len(self._paths)
        file = self._known.get(self._paths[self._playing % count])
        return View(
            heading=f"lofi play · {self._playing % count + 1} of {count}",
            state=player.state,
            title=file.title if file is not None and player.state != "stopped" else "",
            position_sec=player.position_sec,
            duration_sec=player.duration_sec,
            volume=player.volume,
            waveform=file.waveform if file is not None else (),
            upcoming=self._upcoming(),
            notice=self._notice,
        )

    async def press(self, key: str) -> None:
        player = self.player
        try:
            if key == " ":
                await (player.resume() if player.state == "paused" else player.pause())
            elif key == "n":
                await player.skip()
            elif key in "+=":
                await player.set_volume(min(1.0, player.volume + VOLUME_STEP))
            elif key in "-−_":
                await player.set_volume(max(0.0, player.volume - VOLUME_STEP))
        except LofiError as error:
            self._notice = error.message

    def _upcoming(self) -> str | None:
        following = self._playing + 1
        if following < len(self._paths) or (self._loop and self._paths):
            return self._paths[following % len(self._paths)].stem
        return None

    def _on_event(self, event: PlayerEvent) -> None:
        if isinstance(event, Started):
            self._playing = event.entry
            self._preparing = asyncio.get_running_loop().create_task(self._prepare_next())
        elif isinstance(event, Ended) and event.message is not None:
            self._notice = event.message
        elif isinstance(event, Stopped):
            self._finished.set()

    async def _prepare_next(self) -> None:
        """Have the next file ready; what cannot be played is named and passed over."""
        place, tries = self._playing + 1, len(self._paths)
        while tries > 0 and (self._loop or place < len(self._paths)):
            try:
                await self.player.set_next(await self._item(place))
                return
            except AudioPlaybackError as error:
                self._notice = error.message
                place, tries = place + 1, tries - 1

    async def _item(self, place: int) -> Item:
        path = self._paths[place % len(self._paths)]
        if path not in self._known:
            self._known[path] = await asyncio.to_thread(look_at, path)
        return Item(place, path, self._known[path].gain)


def look_at(path: Path) -> SoundFile:
    """A file's title, gain and waveform: from the sidecar beside it, else measured.

    Raises AudioPlaybackError.
    """
    track = read_sidecar(path.with_suffix(".json"))
    if track is not None and track.file == path.name:
        from lofi_daemon.player.gain import playback_gain

        return SoundFile(path, track.prompt, playback_gain(track), track.waveform)
    import numpy as np
    import soundfile

    from lofi_daemon.sound.clip import AudioClip
    from lofi_daemon.sound.loudness import integrated_loudness, true_peak, waveform_peaks

    try:
        samples, sample_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioPlaybackError(
            f"{path} cannot be played: {error}", hint="Give a WAV, FLAC, OGG or MP3 file."
        ) from error
    clip = AudioClip(np.ascontiguousarray(samples.T), sample_rate)
    peaks = waveform_peaks(clip, WAVEFORM_POINTS)
    gain = track_gain(integrated_loudness(clip), true_peak(clip))
    return SoundFile(path, path.stem, gain, peaks)
