"""`lofi-daemon radio [PRESET | "prompt"]`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.house import House, open_house
from lofi_daemon.parameters import SoundParameters, parse
from lofi_daemon.player.events import PlaybackEnded, PlaybackEvent, PlaybackStarted
from lofi_daemon.presets import Preset, Presets, load_presets
from lofi_daemon.radio import Programme
from lofi_daemon.station import RadioWaiting
from lofi_daemon.terminal import transport
from lofi_daemon.terminal.display import NoticeHandler, listen
from lofi_daemon.terminal.flags import given_parameters
from lofi_daemon.terminal.screen import MakingView, View, clock
from lofi_daemon.text import say

log = logging.getLogger(__name__)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Play a radio until the listener quits; the exit status. Raises LofiError."""
    presets = load_presets()
    if options.list:
        for preset in presets.by_name.values():
            say(f"{preset.name:<20} {preset.description}")
        if presets.problem is not None:
            raise presets.problem
        return 0
    registry = Registry(settings)
    model = registry.taking_options(SoundParameters)
    sound = parse(model, given_parameters(options, model))
    chosen = choose_preset(options.what, presets)
    return asyncio.run(_play_radio(settings, registry, chosen, sound, options))


def choose_preset(what: str | None, presets: Presets) -> Preset:
    """The preset of that name; any other words are a prompt."""
    if presets.problem is not None:
        log.warning("%s", presets.problem.message)
    return presets.find(what) or Preset("", "", (what or "",))


async def _play_radio(
    settings: Settings,
    registry: Registry,
    preset: Preset,
    sound: SoundParameters,
    options: argparse.Namespace,
) -> int:
    house = open_house(settings, registry)
    house.tracks.prepare()
    station = house.station
    finished = asyncio.Event()
    listening = RadioListening(preset, house)
    try:
        seed = secrets.randbits(32) if sound.seed is None else sound.seed
        programme = Programme(preset.prompts, seed, options.order, options.ahead, options.library)
        await station.start(programme, sound, preset=preset.name or None)
        await listen(listening, finished, settings.cache_folder / "radio.log")
    finally:
        station.stop()
        await asyncio.gather(house.playback.close(), house.jobs.close(timeout_sec=1.0))
    return 0


class RadioListening:
    """The radio as the screen sees it."""

    def __init__(self, preset: Preset, house: House) -> None:
        self._heading = f"lofi radio · {preset.name or 'your own'}"
        self._jobs = house.jobs
        self._playback = house.playback
        self._station = house.station
        self._tracks = house.tracks
        self._kept: set[str] = set()
        self._notice: str | None = None
        self._waiting: RadioWaiting | None = None
        house.playback.subscribe(self._on_playback)
        house.station.subscribe(self._on_waiting)
        logging.getLogger("lofi_daemon").addHandler(NoticeHandler(self._show_notice))

    def view(self) -> View:
        playback, radio = self._playback, self._station.status
        table, track = playback.table, playback.playing
        makes = radio is not None and radio.programme.library is None
        return View(
            heading=self._heading,
            state=table.state,
            title=track.prompt if track is not None else "",
            position_sec=playback.turntable.position_sec,
            duration_sec=table.duration_sec,
            volume=table.volume,
            muted=table.muted,
            loop=playback.loop,
            stops_in_sec=playback.sleep.left_sec,
            waveform=track.waveform if track is not None else (),
            kept=track is not None and (track.kept or track.track_id in self._kept),
            ready=radio.ready if radio is not None and makes else None,
            ahead=radio.programme.ahead if radio is not None else 0,
            making=self._making(),
            notice=self._notice or self._wait(),
        )

    def _wait(self) -> str | None:
        """What is said while nothing new is ready."""
        waiting, radio = self._waiting, self._station.status
        if waiting is None or radio is None or radio.ready:
            return None
        eta = "" if waiting.eta_sec is None else f" in about {clock(waiting.eta_sec)}"
        playing = self._playback.playing
        if playing is None:
            return f"The first track comes{eta}."
        heard_before = playing.last_played_at is not None
        meanwhile = "; an older one meanwhile" if heard_before else ""
        return f"The next new track comes{eta}{meanwhile}."

    def _making(self) -> MakingView | None:
        current = self._jobs.current
        if current is None:
            return None
        job, progress = current
        return MakingView(
            job.request.prompt, progress.percent, progress.phase.value, progress.eta_sec
        )

    async def press(self, key: str) -> None:
        try:
            await self._press(key)
        except LofiError as error:
            self._show_notice(f"{error.message} {error.hint}")

    async def _press(self, key: str) -> None:
        playback = self._playback
        if key == "n":
            await playback.skip()
        elif key == "p":
            await playback.previous()
        elif key == "r":
            await playback.set_loop("track" if playback.loop == "off" else "off")
        elif key == "k" and playback.playing is not None:
            track = playback.playing
            keep = not (track.kept or track.track_id in self._kept)
            await asyncio.to_thread(self._tracks.keep, [track.track_id], keep)
            self._kept ^= {track.track_id}
        else:
            await transport.press(playback.turntable, playback.sleep, key)

    def _on_playback(self, event: PlaybackEvent) -> None:
        if isinstance(event, PlaybackEnded) and event.error is not None:
            self._show_notice(event.error.message)
        elif isinstance(event, PlaybackStarted):
            self._notice = self._waiting = None

    def _on_waiting(self, event: RadioWaiting) -> None:
        self._waiting = event

    def _show_notice(self, text: str) -> None:
        self._notice = text
