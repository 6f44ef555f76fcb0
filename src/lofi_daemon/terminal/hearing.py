"""One track as the listener of a terminal hears it: a turn in the user's one music."""

from __future__ import annotations

import asyncio
import contextlib
import json

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError, error_named
from lofi_daemon.house import House
from lofi_daemon.rpc.serving import Serving


class Hearing:
    """The track as it sounds while it is made, and on to its end. Lives in the event loop.

    It plays here, or where an editor or another terminal plays already.
    """

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._serving = Serving(settings, registry, self)
        self._track_id: str | None = None
        self._over = asyncio.Event()
        self._error: LofiError | None = None
        self._interrupted = False

    @property
    def house(self) -> House:
        return self._serving.daemon

    async def open(self) -> None:
        """Find out who plays."""
        await self._serving.open()

    def want(self, track_id: str) -> None:
        self._track_id = track_id
        self.house.early.want(track_id, "early")

    def interrupt(self) -> None:
        self._interrupted = True
        self._over.set()

    async def to_the_end(self) -> int:
        """Listen to the end; the exit status. Raises LofiError where it cannot be played."""
        await self._over.wait()
        if self._error is not None:
            raise self._error
        return 130 if self._interrupted else 0

    async def close(self) -> None:
        """What still sounds of the track ends; a radio goes on with its next one."""
        music = self._serving.music
        if music.state != "stopped" and music.track_id == self._track_id:
            with contextlib.suppress(LofiError):
                method = "skip" if music.radio is not None else "stop"
                await self._serving.dispatcher.call(method)
        self._serving.leave()
        await self._serving.close()

    def send(self, line: bytes, *, replaces: str | None = None) -> None:
        """What is told of the music, here or where it plays."""
        message = json.loads(line)
        said = message["params"]
        if message["method"] == "playback_ended" and said["track_id"] == self._track_id:
            if "message" in said:
                self._error = error_named(said["code"])(said["message"], hint=said["hint"])
            self._over.set()
