"""The daemon's hold on the player: the table, the pipe to what sounds, and starting it again.

The process starts with the first playback. When it dies it is started again and goes on where it
was. Everything here runs in the event loop; no audio library is imported.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError, LofiError
from lofi_daemon.player.events import PlaybackEvent
from lofi_daemon.player.pipe import PlayerPipe
from lofi_daemon.player.reports import Ended, Stopped
from lofi_daemon.player.table import (
    Adjust,
    ChangeDevice,
    Died,
    Level,
    LinedUp,
    LineUp,
    Pause,
    Put,
    PutBack,
    Resume,
    Seek,
    Settle,
    Step,
    Table,
    after,
)
from lofi_daemon.player.turn import Turn

log = logging.getLogger(__name__)

MAX_RESTARTS = 5
RESTART_WINDOW_SEC = 60.0
DEVICE_RETRY_SEC = 1.0
DEVICE_TRIES = 60
SETTLED_SEC = 2.0
LOOK_AGAIN_SEC = 0.02


class Turntable:
    """The table of what plays, and one coroutine for each thing a player can be told.

    Coroutines raise AudioDeviceError and AudioPlaybackError. `on_told` gets what the table tells;
    `on_changed` is called after every change of the table, told or not.
    """

    def __init__(
        self,
        on_told: Callable[[PlaybackEvent], None],
        *,
        device: str | None = None,
        volume: float = 0.5,
        crossfade_sec: float = 2.0,
        on_changed: Callable[[], None] | None = None,
    ) -> None:
        self.table = Table(device=device, volume=volume, crossfade_sec=crossfade_sec)
        self._on_told = on_told
        self._on_changed = on_changed
        self._deaths: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._pipe = PlayerPipe(self.step, self._on_death, self._settings)

    @property
    def running(self) -> bool:
        """Whether there is a player process."""
        return self._pipe.process_id is not None

    @property
    def position_sec(self) -> float:
        """Seconds into the playing track at this moment."""
        return self.table.position(time.monotonic())

    def step(self, step: Step) -> None:
        """Change the table, and tell what is to be told of it."""
        before = self.table
        self.table, told = after(before, step, time.monotonic())
        for event in told:
            self._on_told(event)
        if self._on_changed is not None and self.table != before:
            self._on_changed()

    # -- commands ------------------------------------------------------------------------------

    async def play(
        self,
        turn: Turn,
        *,
        position_sec: float = 0.0,
        crossfade: bool = True,
        paused: bool = False,
    ) -> None:
        """Sound this now, or be paused at its position; what plays crosses over into it."""
        self.step(Put(turn))
        try:
            await self._pipe.request(
                "play",
                {
                    **_as_arguments(turn),
                    "position_sec": position_sec,
                    "crossfade": crossfade,
                    "paused": paused,
                },
            )
            if paused:
                self.step(Pause())
        finally:
            # it has begun, or never will
            self.step(PutBack(turn))

    async def set_next(self, turn: Turn | None) -> None:
        """Raises AudioPlaybackError when the file cannot be played; nothing is next then."""
        self.step(LineUp(turn))
        if self.running:
            await self._pipe.request("next", {"entry": None} if turn is None else _as_next(turn))
        if turn is not None:
            self.step(LinedUp(turn))

    async def skip(self) -> None:
        if self.running:
            await self._pipe.request("skip")

    async def pause(self) -> None:
        if self.table.state == "playing":
            self.step(Pause())
            await self._pipe.request("pause")

    async def resume(self) -> None:
        playing = self.table.playing
        if self.table.state != "paused" or playing is None:
            return
        if self.running:
            await self._pipe.request("resume")
        else:
            await self._play_on(playing)
        self.step(Resume())

    async def stop(self) -> None:
        """Also what was told to play and does not sound yet."""
        playing = self.table.playing
        if self.running or self.table.coming is not None:
            await self._pipe.request("stop")
        if self.table.playing == playing:  # no player is left to say it
            self.step(Stopped())

    async def seek(self, position_sec: float) -> None:
        """In a track that grows: at most to where it ends so far."""
        if self.table.state != "stopped" and self.running:
            reached = await self._sought(position_sec)
            position_sec = position_sec if reached is None else reached
        self.step(Seek(position_sec))

    async def _sought(self, position_sec: float) -> float | None:
        """Where the player goes on.

        The file of a track that has just become whole is gone a moment before this daemon knows
        where the track lies, which another one may have made.
        """
        patience_ends = time.monotonic() + SETTLED_SEC
        while True:
            playing = self.table.playing
            try:
                return await self._pipe.request("seek", {"position_sec": position_sec})
            except AudioPlaybackError:
                now = self.table.playing
                if playing is None or now is None or now.entry != playing.entry:
                    raise
                if playing.growing is None or time.monotonic() > patience_ends:
                    raise
            await asyncio.sleep(LOOK_AGAIN_SEC)

    async def settle(self, turn: Turn) -> None:
        """The track of this turn, which grew, is whole now, and the turn says where."""
        self.step(Settle(turn))
        if self.running:
            await self._pipe.request(
                "settle", {"entry": turn.entry, "path": str(turn.path), "gain": turn.gain}
            )

    async def leave(self, turn: Turn, reason: str, message: str | None) -> None:
        """The track of this turn, which grew, will never be whole: what is next follows."""
        if self.table.next == turn:
            self.step(LineUp(None))
        if self.running:
            await self._pipe.request(
                "leave", {"entry": turn.entry, "reason": reason, "message": message}
            )

    async def set_level(self, entry: int, gain: float) -> None:
        """Bring what plays to a gain that is known better now."""
        self.step(Level(entry, gain))
        if self.running:
            await self._pipe.request("level", {"entry": entry, "gain": gain})

    async def set_volume(self, volume: float) -> None:
        await self._adjust(Adjust(volume=volume))

    async def set_muted(self, muted: bool) -> None:
        await self._adjust(Adjust(muted=muted))

    async def fade_to(self, volume: float, seconds: float) -> None:
        """Bring the sound to another volume slowly; the listener's own volume stays what it is."""
        if self.running:
            await self._pipe.request("volume", {"volume": volume, "seconds": seconds})

    async def unfade(self) -> None:
        """Back to the listener's own volume."""
        await self._adjust(Adjust())

    async def set_crossfade(self, seconds: float) -> None:
        self.step(Adjust(crossfade_sec=seconds))
        if self.running:
            await self._pipe.request("crossfade", {"seconds": seconds})

    async def set_device(self, name: str | None) -> None:
        """None is the system's default. Raises AudioDeviceError; the old device stays then."""
        await self._pipe.request("device", {"name": name})
        self.step(ChangeDevice(name))

    async def open_device(self) -> None:
        """Be ready to sound. Raises AudioDeviceError when that cannot be."""
        await self._pipe.request("open")

    async def devices(self) -> list[dict[str, Any]]:
        return await self._pipe.request("devices")

    async def close(self) -> None:
        """Let the sound ramp down and the process end."""
        await self._pipe.close()

    async def _adjust(self, step: Adjust) -> None:
        self.step(step)
        if self.running:
            await self._pipe.request("volume", {"volume": self._audible_volume})

    @property
    def _audible_volume(self) -> float:
        return 0.0 if self.table.muted else self.table.volume

    def _settings(self) -> dict[str, Any]:
        """What a new process must know before anything else."""
        return {
            "volume": self._audible_volume,
            "crossfade_sec": self.table.crossfade_sec,
            "device": self.table.device,
        }

    # -- when the player dies ------------------------------------------------------------------

    async def _on_death(self) -> None:
        self.step(Died())
        playing = self.table.playing
        if self.table.state == "playing" and playing is not None:
            await self._restart(playing)

    async def _restart(self, playing: Turn) -> None:
        now = time.monotonic()
        if len(self._deaths) == MAX_RESTARTS and now - self._deaths[0] < RESTART_WINDOW_SEC:
            self._give_up(playing, f"The player died {MAX_RESTARTS} times within a minute")
            return
        self._deaths.append(now)
        problem: LofiError = AudioPlaybackError("The player could not be started again.")
        for _ in range(DEVICE_TRIES):
            try:
                await self._play_on(playing)
                return
            except AudioDeviceError as error:
                problem = error
                log.warning("%s Trying again.", error.message)
                await asyncio.sleep(DEVICE_RETRY_SEC)
            except AudioPlaybackError as error:
                problem = error
                if self.table.playing == playing:
                    break
                # or its track was finished meanwhile, and the growing file is gone
            still = self.table.playing
            if still is None or still.entry != playing.entry or self.table.state != "playing":
                return
            playing = still
        self._give_up(playing, problem.message)

    async def _play_on(self, playing: Turn) -> None:
        """In a new process, from where the old one was."""
        following = self.table.next
        await self.play(playing, position_sec=self.table.position_sec, crossfade=False)
        await self.set_next(following)

    def _give_up(self, playing: Turn, message: str) -> None:
        self.step(Ended(playing.entry, "error", message))
        self.step(Stopped())


def _as_next(turn: Turn) -> dict[str, Any]:
    return {**_as_arguments(turn), "join": None if turn.join is None else asdict(turn.join)}


def _as_arguments(turn: Turn) -> dict[str, Any]:
    arguments: dict[str, Any] = {"entry": turn.entry, "path": str(turn.path), "gain": turn.gain}
    if turn.in_music:
        arguments["in_music"] = True
    if turn.growing is not None:
        arguments["growth"] = asdict(turn.growing.growth)
    return arguments
