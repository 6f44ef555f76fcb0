"""The daemon's handle on the player: what it plays, how far it is, and starting it again.

The process starts with the first playback. When it dies it is started again and goes on where it
was. Everything here runs in the daemon's event loop; no audio library is imported.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError, LofiError
from lofi_daemon.player.events import (
    DeviceLost,
    Ended,
    PlayerEvent,
    Position,
    Started,
    Stopped,
)
from lofi_daemon.player.pipe import PlayerPipe
from lofi_daemon.player.playback_events import PlaybackState

log = logging.getLogger(__name__)

MAX_RESTARTS = 5
RESTART_WINDOW_SEC = 60.0
DEVICE_RETRY_SEC = 1.0
DEVICE_TRIES = 60


@dataclass(frozen=True)
class Item:
    """One turn of one track: a number of its own, an absolute path, a linear gain."""

    entry: int
    path: Path
    gain: float


class PlayerProcess:
    """State as it was last reported, and one coroutine for each thing a player can be told.

    Coroutines raise AudioDeviceError and AudioPlaybackError.
    """

    def __init__(
        self,
        on_event: Callable[[PlayerEvent], None],
        *,
        device: str | None = None,
        volume: float = 0.5,
        crossfade_sec: float = 2.0,
    ) -> None:
        self.state: PlaybackState = "stopped"
        self.volume = volume
        self.crossfade_sec = crossfade_sec
        self.device = device
        self.duration_sec = 0.0
        self.underruns = 0
        self._on_event = on_event
        self._current: Item | None = None
        self._coming: Item | None = None
        self._next: Item | None = None
        self._position_sec = 0.0
        self._position_at = 0.0
        self._deaths: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._pipe = PlayerPipe(self._take_event, self._on_death, self._settings)

    @property
    def running(self) -> bool:
        return self._pipe.process_id is not None

    @property
    def process_id(self) -> int | None:
        return self._pipe.process_id

    @property
    def current(self) -> Item | None:
        return self._current

    @property
    def position_sec(self) -> float:
        """Seconds into the playing track, counted on from the last report."""
        position = self._position_sec
        if self.state == "playing":
            position += time.monotonic() - self._position_at
        return min(position, self.duration_sec) if self.duration_sec > 0 else position

    # -- commands ------------------------------------------------------------------------------

    async def play(self, item: Item, *, position_sec: float = 0.0, crossfade: bool = True) -> None:
        """Sound this now; what plays crosses over into it."""
        self._coming = item
        await self._pipe.request(
            "play",
            {**_as_arguments(item), "position_sec": position_sec, "crossfade": crossfade},
        )

    async def set_next(self, item: Item | None) -> None:
        """Raises AudioPlaybackError when the file cannot be played; nothing is next then."""
        self._next = None
        if self.running:
            await self._pipe.request(
                "next", {"entry": None} if item is None else _as_arguments(item)
            )
        self._next = item

    async def skip(self) -> None:
        if self.running:
            await self._pipe.request("skip")

    async def pause(self) -> None:
        if self.state == "playing":
            self._set_position(self.position_sec)
            self.state = "paused"
            await self._pipe.request("pause")

    async def resume(self) -> None:
        if self.state != "paused":
            return
        if self.running:
            await self._pipe.request("resume")
            self._position_at = time.monotonic()
            self.state = "playing"
        elif self._current is not None:
            await self._play_on(self._current, self._next)

    async def stop(self) -> None:
        if self.running and self.state != "stopped":
            await self._pipe.request("stop")
        self._forget()

    async def seek(self, position_sec: float) -> None:
        if self.state != "stopped" and self.running:
            await self._pipe.request("seek", {"position_sec": position_sec})
        self._set_position(position_sec)

    async def set_level(self, entry: int, gain: float) -> None:
        """Bring what plays to a gain that is known better now."""
        if self._current is not None and self._current.entry == entry:
            self._current = replace(self._current, gain=gain)
            if self.running:
                await self._pipe.request("level", {"entry": entry, "gain": gain})

    async def set_volume(self, volume: float) -> None:
        self.volume = volume
        if self.running:
            await self._pipe.request("volume", {"volume": volume})

    async def set_crossfade(self, seconds: float) -> None:
        self.crossfade_sec = seconds
        if self.running:
            await self._pipe.request("crossfade", {"seconds": seconds})

    async def set_device(self, name: str | None) -> None:
        """None is the system's default. Raises AudioDeviceError; the old device stays then."""
        await self._pipe.request("device", {"name": name})
        self.device = name

    async def open_device(self) -> None:
        """Be ready to sound. Raises AudioDeviceError when that cannot be."""
        await self._pipe.request("open")

    async def devices(self) -> list[dict[str, Any]]:
        return await self._pipe.request("devices")

    async def close(self) -> None:
        """Let the sound ramp down and the process end."""
        await self._pipe.close()

    # -- what the player reports -------------------------------------------------------------------

    def _take_event(self, event: PlayerEvent) -> None:
        if isinstance(event, Started):
            for item in (self._coming, self._next):
                if item is not None and item.entry == event.entry:
                    self._current = item
            if self._current is self._next:
                self._next = None
            self.duration_sec = event.duration_sec
            self._set_position(event.position_sec)
            self.state = "playing"
        elif isinstance(event, Stopped):
            self._forget()
        elif isinstance(event, Position):
            if self._current is None or event.entry != self._current.entry:
                return
            self.underruns = event.underruns
            if self.state == "playing":
                self._set_position(event.position_sec)
        elif isinstance(event, DeviceLost):
            self.device = None
        self._on_event(event)

    def _settings(self) -> dict[str, Any]:
        """What a new process must know before anything else."""
        return {
            "volume": self.volume,
            "crossfade_sec": self.crossfade_sec,
            "device": self.device,
        }

    def _set_position(self, position_sec: float) -> None:
        self._position_sec = position_sec
        self._position_at = time.monotonic()

    def _forget(self) -> None:
        self.state = "stopped"
        self._current = self._next = None
        self._set_position(0.0)
        self.duration_sec = 0.0

    # -- when the player dies --------------------------------------------------------------------

    async def _on_death(self) -> None:
        self._set_position(self.position_sec)
        if self.state == "playing" and self._current is not None:
            await self._restart(self._current)

    async def _restart(self, current: Item) -> None:
        now = time.monotonic()
        if len(self._deaths) == MAX_RESTARTS and now - self._deaths[0] < RESTART_WINDOW_SEC:
            self._give_up(current, f"The player died {MAX_RESTARTS} times within a minute")
            return
        self._deaths.append(now)
        problem: LofiError = AudioPlaybackError("The player could not be started again.")
        for _ in range(DEVICE_TRIES):
            try:
                await self._play_on(current, self._next)
                return
            except AudioDeviceError as error:
                problem = error
                log.warning("%s Trying again.", error.message)
                await asyncio.sleep(DEVICE_RETRY_SEC)
            except AudioPlaybackError as error:
                problem = error
                break
            if self._current is not current or self.state != "playing":
                return
        self._give_up(current, problem.message)

    async def _play_on(self, current: Item, following: Item | None) -> None:
        """In a new process, from where the old one was."""
        await self.play(current, position_sec=self._position_sec, crossfade=False)
        await self.set_next(following)

    def _give_up(self, current: Item, message: str) -> None:
        self._forget()
        self._on_event(Ended(current.entry, "error", message))
        self._on_event(Stopped())


def _as_arguments(item: Item) -> dict[str, Any]:
    return {"entry": item.entry, "path": str(item.path), "gain": item.gain}
