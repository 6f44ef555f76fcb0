"""What the player does when it is told: commands as JSON lines in, answers and events out.

It decides nothing: the daemon says what plays and what comes next, the player sounds and reports.

Commands: `{"id": 1, "do": "play", …}` with the arguments of the method of that name in `Player`.
Answers: `{"id": 1, "result": …}` or `{"id": 1, "error": {"name", "message", "hint"}}`.
Reports: `{"event": "started", …}`, see `reports`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from lofi_daemon.errors import AudioPlaybackError, LofiError
from lofi_daemon.player.decks import Deck, Decks
from lofi_daemon.player.device import Device, list_devices, open_device
from lofi_daemon.player.join import Join
from lofi_daemon.player.mixer import RAMP_SEC
from lofi_daemon.player.priority import keep_in_memory
from lofi_daemon.player.reports import DeviceLost, PlayerReport, Position, to_message
from lofi_daemon.player.source import TrackSource
from lofi_daemon.sound.growth import Growth
from lofi_daemon.text import shown

log = logging.getLogger(__name__)

READ_AHEAD_SEC = 3.0
FIRST_READ_SEC = 0.5
FEED_INTERVAL_SEC = 0.02
POSITION_INTERVAL_SEC = 0.5
DEVICE_LOST_STATUS = 3
DEVICE_IDLE_SEC = 10.0
SETTLE_SEC = 0.1


class Player:
    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._output_lock = threading.Lock()
        self._reporting = threading.Lock()
        self._table = threading.RLock()
        self._wake_feeder = threading.Event()
        self._closing = False
        self._device: Device | None = None
        self._device_name: str | None = None
        self._again = False
        self._sounding = False
        self._decks: Decks | None = None
        self._volume = 0.5
        self._crossfade_sec = 2.0
        self._silent_since: float | None = None
        self._position_due = 0.0

    # -- commands ------------------------------------------------------------------------------

    def configure(
        self, volume: float, crossfade_sec: float, device: str | None, again: bool = False
    ) -> None:
        """What holds from the start; the device is opened when there is something to play.

        `again`: this player goes on in the place of one that died.
        """
        self._volume, self._crossfade_sec, self._device_name = volume, crossfade_sec, device
        self._again = again

    def play(
        self,
        entry: int,
        path: str,
        gain: float,
        position_sec: float = 0.0,
        crossfade: bool = True,
        paused: bool = False,
        growth: dict[str, int] | None = None,
        *,
        in_music: bool = False,
    ) -> None:
        """Sound this file now, or have it ready, paused; what plays crosses over into it.

        growth: the file is still being written, and what shape it has. in_music: it begins in the
        midst of music.
        """
        decks = self._ready()
        source = self._open(Path(path), decks.sample_rate, position_sec, _growth(growth))
        decks.play(Deck(entry, source, gain, in_music=in_music), crossfade=crossfade)
        if paused:
            decks.pause()
            return
        self._sound()

    def next(
        self,
        entry: int | None,
        path: str = "",
        gain: float = 1.0,
        growth: dict[str, int] | None = None,
        *,
        join: dict[str, Any] | None = None,
        in_music: bool = False,
    ) -> None:
        """Say what follows the playing track; without entry: nothing.

        join: of which turn it is the sequel, and where it goes on without a cross-over.
        """
        decks = self._decks
        if decks is None:
            return
        if entry is None:
            decks.set_next(None)
        else:
            source = self._open(Path(path), decks.sample_rate, 0.0, _growth(growth))
            said = None if join is None else Join(**join)
            decks.set_next(Deck(entry, source, gain, join=said, in_music=in_music))

    def settle(self, entry: int, path: str, gain: float) -> None:
        """The growing track of this turn is whole, in that file."""
        decks = self._decks
        deck = None if decks is None else decks.settle(entry, Path(path), gain)
        if decks is None or deck is None or deck.source.is_whole:
            return
        # what was to be heard before the end could not be written to its end
        position_sec = deck.source.position / decks.sample_rate
        second = deck.over(self._reopen(deck.source, decks.sample_rate, position_sec))
        if deck is decks.playing:
            decks.seek(second)
        else:
            decks.set_next(second)

    def leave(self, entry: int, reason: str, message: str | None = None) -> None:
        """The growing track of this turn will never be whole."""
        if self._decks is not None:
            self._decks.leave(entry, reason, message)

    def skip(self) -> None:
        if self._decks is not None:
            self._decks.skip()
            self._sound()

    def pause(self) -> None:
        if self._decks is not None:
            self._decks.pause()

    def resume(self) -> None:
        self._ready().resume()
        self._sound()

    def stop(self) -> None:
        if self._decks is not None:
            self._decks.stop()

    def seek(self, position_sec: float) -> float | None:
        """Go on there, or where a growing track ends so far; where that is, if anything plays."""
        playing = self._decks.playing if self._decks is not None else None
        if self._decks is None or playing is None:
            return None
        source = self._reopen(playing.source, self._decks.sample_rate, position_sec)
        position = source.position
        self._decks.seek(playing.over(source))
        return position / self._decks.sample_rate

    def level(self, entry: int, gain: float) -> None:
        """The gain of a track that plays already is known better now."""
        if self._decks is not None:
            self._decks.level(entry, gain)

    def volume(self, volume: float, seconds: float = RAMP_SEC) -> None:
        """Reach this volume in that time."""
        self._volume = volume
        if self._decks is not None:
            self._decks.set_volume(volume, seconds)

    def crossfade(self, seconds: float) -> None:
        self._crossfade_sec = seconds
        if self._decks is not None:
            self._decks.crossfade_sec = seconds

    def device(self, name: str | None) -> None:
        """Play on another device; the old one stays when the new one cannot be opened."""
        device = open_device(name)
        self._quieten()
        if self._device is not None:
            self._device.close()
        self._device_name = name
        self._move_to(device)

    def open(self) -> None:
        """Open the device, so that what is wrong with it is known before there is a track."""
        self._ready()

    def devices(self) -> list[dict[str, Any]]:
        return [asdict(device) for device in list_devices()]

    # -- device and decks ----------------------------------------------------------------------

    def _ready(self) -> Decks:
        """The table, on an open device."""
        if self._device is None:
            self._move_to(open_device(self._device_name, again=self._again))
        assert self._decks is not None
        return self._decks

    def _reopen(self, source: TrackSource, sample_rate: int, position_sec: float) -> TrackSource:
        return self._open(source.path, sample_rate, position_sec, source.growth)

    def _open(
        self, path: Path, sample_rate: int, position_sec: float, growth: Growth | None
    ) -> TrackSource:
        source = TrackSource(path, sample_rate, position_sec, growth)
        source.fill(round(FIRST_READ_SEC * sample_rate))
        self._wake_feeder.set()
        return source

    def _sound(self) -> None:
        self._silent_since = None
        if self._device is not None and self._decks is not None and not self._sounding:
            self._device.start(self._decks.render)
            self._sounding = True
            keep_in_memory()

    def _quieten(self) -> None:
        """Ramp down and let the device play out, so that closing it does not click."""
        if self._decks is None or not self._sounding:
            return
        was_paused = self._decks.paused
        self._decks.pause()
        time.sleep(SETTLE_SEC)
        if not was_paused:
            self._decks.resume()

    def _move_to(self, device: Device) -> None:
        """Put the table, with everything on it where it is, onto another device."""
        old, self._device, self._sounding = self._decks, device, False
        if old is not None and old.sample_rate == device.sample_rate:
            self._sound_unless_silent(old)
            return
        decks = Decks(device.sample_rate, volume=self._volume, crossfade_sec=self._crossfade_sec)
        if old is not None:
            decks.take_over(old, self._reopen)
        self._decks = decks
        self._sound_unless_silent(decks)

    def _sound_unless_silent(self, decks: Decks) -> None:
        if not decks.silent:
            self._sound()

    # -- the feeder thread ---------------------------------------------------------------------

    def feed(self) -> None:
        """Read ahead, watch the device and report, until `close`."""
        while not self._closing:
            self._wake_feeder.wait(FEED_INTERVAL_SEC)
            self._wake_feeder.clear()
            with self._table:
                self._watch_device()
                self._rest_when_idle()
            self._read_ahead()
            self._report()

    def _read_ahead(self) -> None:
        decks = self._decks
        if decks is None:
            return
        for source in decks.sources():
            try:
                source.fill(round(READ_AHEAD_SEC * decks.sample_rate))
            except Exception as error:  # one file must not silence the others
                log.error("%s cannot be read on", shown(str(source.path)), exc_info=error)
                source.fail(_defect(error))
        while decks.retired:
            decks.retired.popleft().close()

    def _watch_device(self) -> None:
        """When the device is gone, end: its library may hang, and the daemon starts another."""
        device = self._device
        if device is not None and self._sounding and device.lost:
            name = repr(device.name) if device.name else "in use"
            self._tell(DeviceLost(f"The sound device {name} is gone; trying the default one."))
            os._exit(DEVICE_LOST_STATUS)

    def _rest_when_idle(self) -> None:
        """Stop asking the device for silence after a while: a laptop's sound chip may sleep."""
        decks, now = self._decks, time.monotonic()
        if decks is None or self._device is None or not self._sounding or not decks.silent:
            self._silent_since = None
            return
        if self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > DEVICE_IDLE_SEC:
            self._device.stop()
            self._sounding = False

    def _report(self) -> None:
        decks = self._decks
        if decks is None:
            return
        # both threads report, and an answer comes after what happened before it
        with self._reporting:
            while decks.reports:
                self._tell(decks.reports.popleft())
        now = time.monotonic()
        if not decks.silent and self._sounding and now >= self._position_due:
            self._position_due = now + POSITION_INTERVAL_SEC
            self._tell(Position(*self._position(), decks.underruns))

    def _position(self) -> tuple[int | None, float]:
        """The playing entry, if any, and the seconds of it that were handed to the device."""
        playing = self._decks.playing if self._decks is not None else None
        if playing is None:
            return None, 0.0
        return playing.entry, playing.source.position / playing.source.sample_rate

    # -- the main thread -----------------------------------------------------------------------

    def serve(self, lines: BinaryIO) -> None:
        for line in lines:
            command = json.loads(line)
            self._answer(command.pop("id"), command.pop("do"), command)
        self._closing = True
        if self._device is not None:
            self._quieten()

    def _answer(self, request_id: int, name: str, arguments: dict[str, Any]) -> None:
        method: Callable[..., Any] = getattr(self, name)
        try:
            with self._table:
                result = method(**arguments)
        except Exception as defect:  # the boundary: the next command is served
            error = defect if isinstance(defect, LofiError) else _defect(defect)
            if error is not defect:
                log.error("The command '%s' failed", name, exc_info=defect)
            problem = {"name": error.name, "message": error.message, "hint": error.hint}
            self._send({"id": request_id, "error": problem})
            return
        self._report()
        self._send({"id": request_id, "result": result})

    def _tell(self, event: PlayerReport) -> None:
        self._send(to_message(event))

    def _send(self, message: dict[str, Any]) -> None:
        with self._output_lock, contextlib.suppress(BrokenPipeError):
            self._output.write(json.dumps(message).encode() + b"\n")
            self._output.flush()


def _growth(said: dict[str, int] | None) -> Growth | None:
    return None if said is None else Growth(**said)


def _defect(error: Exception) -> AudioPlaybackError:
    return AudioPlaybackError(
        f"The player failed: {type(error).__name__}: {error}",
        hint="This is a defect; the log on stderr has the details (:Lofi log).",
    )
