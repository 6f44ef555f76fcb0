"""A listener in a terminal: one more client of the user's one music, in a house of its own.

Where nobody plays yet the music plays here; where an editor or another terminal does, it is asked
to, and goes on here when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.player.files import path_of
from lofi_daemon.rpc.handover import Music
from lofi_daemon.rpc.serving import Serving
from lofi_daemon.terminal.display import NoticeHandler
from lofi_daemon.terminal.screen import View
from lofi_daemon.terminal.transport import key_means

log = logging.getLogger(__name__)

LOOK_AGAIN_SEC = 0.5


class Listener:
    """What the screen shows of the music, and what the keys do. Lives in the event loop."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.serving = Serving(settings, registry, self)
        self._notice: str | None = None
        self._sound_of: str | None = None
        self._waveform: tuple[float, ...] = ()
        self._kept: bool | None = None
        self._kept_when_whole: str | None = None
        self._length_sec = 0.0
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def at_home(self) -> AsyncGenerator[None, None]:
        """Inside this block the music is within reach."""
        handler = NoticeHandler(self.show_notice)
        await self.serving.open()
        logging.getLogger("lofi_daemon").addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger("lofi_daemon").removeHandler(handler)
            with contextlib.suppress(LofiError):
                await self.go()
            self.serving.leave()
            await self.serving.close()

    async def go(self) -> None:
        """End what this listener began. Raises LofiError."""
        raise NotImplementedError

    @property
    def music(self) -> Music:
        return self.serving.music

    async def ask(self, method: str, **params: Any) -> Any:
        """Raises LofiError."""
        return await self.serving.dispatcher.call(method, **params)

    def send(self, line: bytes, *, replaces: str | None = None) -> None:
        """A message for this client, from its own house or from where the music plays."""
        message = json.loads(line)
        self.heard(message["method"], message["params"])

    def heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "playback_ended" and "message" in params:
            self.show_notice(params["message"])

    def view_of(self, music: Music, heading: str) -> View:
        """What every listener's screen has."""
        self._look_at(music.track_id)
        return View(
            heading=heading,
            state=music.state,
            title=music.prompt or "",
            position_sec=music.position(time.time()),
            duration_sec=music.duration_sec or self._length_sec,
            volume=music.volume,
            muted=music.muted,
            loop=music.loop,
            stops_in_sec=None if music.stops_at is None else max(0.0, music.stops_at - time.time()),
            waveform=self._waveform,
            kept=self._kept,
            notice=self._notice,
        )

    async def press(self, key: str) -> None:
        try:
            await self.pressed(key)
        except LofiError as error:
            self.show_notice(f"{error.message} {error.hint}")

    async def pressed(self, key: str) -> None:
        """Do what the key stands for. Raises LofiError."""
        meant = key_means(key, self.music, time.time())
        if meant is not None:
            await self.ask(meant.method, **meant.params)

    def show_notice(self, text: str | None) -> None:
        self._notice = text

    async def keep(self) -> None:
        """Keep what plays, or let it go again; a track that grows, when it is whole.

        Raises LofiError.
        """
        track_id = self.music.track_id
        if self._kept is None:
            self._kept_when_whole = track_id
        elif track_id is not None and track_id == self._sound_of:
            kept = not self._kept
            await self.ask("tracks_keep", track_ids=[track_id], kept=kept)
            self._kept = kept

    # -- what plays, beyond what is told of it ---------------------------------------------------

    def _look_at(self, track_id: str | None) -> None:
        path = path_of(track_id) if track_id is not None else None
        if track_id != self._sound_of:
            self._sound_of, self._waveform, self._kept, self._length_sec = track_id, (), None, 0.0
            if path is not None:
                self.serving.daemon.playback.files.listen_to(path)
            elif track_id is not None:
                self._looking = asyncio.get_running_loop().create_task(self._find(track_id))
        if (
            path is not None
            and (file := self.serving.daemon.playback.files.known(path)) is not None
        ):
            self._waveform, self._length_sec = tuple(file.waveform), file.duration_sec or 0.0

    async def _find(self, track_id: str) -> None:
        """Until it is there: one that is heard while it is made is a track a while later."""
        find = self.serving.daemon.tracks.find
        while (track := await asyncio.to_thread(find, track_id)) is None:
            await asyncio.sleep(LOOK_AGAIN_SEC)
            if track_id not in (self._sound_of, self._kept_when_whole):
                return
        if track_id == self._kept_when_whole and not track.kept:
            self._kept_when_whole = None
            with contextlib.suppress(LofiError):
                await self.ask("tracks_keep", track_ids=[track_id], kept=True)
                track = track.model_copy(update={"kept": True})
        if track_id == self._sound_of:
            self._waveform, self._kept = tuple(track.waveform), track.kept
