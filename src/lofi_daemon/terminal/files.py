"""`lofi-daemon play FILE…`."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.player.files import path_of
from lofi_daemon.terminal.display import listen
from lofi_daemon.terminal.listener import Listener
from lofi_daemon.terminal.screen import View
from lofi_daemon.text import shown

LOOK_SEC = 0.1


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Play files in order; the exit status. Raises LofiError when none can be played."""
    return asyncio.run(_play_files(settings, options.files, loop=options.loop))


async def _play_files(settings: Settings, paths: list[Path], *, loop: bool) -> int:
    finished = asyncio.Event()
    listener = FileListener(settings, Registry(settings), paths)
    async with listener.at_home():
        await listener.start(loop=loop)
        watching = asyncio.get_running_loop().create_task(listener.wait_for_the_end(finished))
        await listen(listener, finished, settings.cache_folder / "radio.log")
        watching.cancel()
    return 0


class FileListener(Listener):
    """Files one after the other, in the place of the playlist."""

    def __init__(self, settings: Settings, registry: Registry, paths: list[Path]) -> None:
        super().__init__(settings, registry)
        self._files = [path.absolute().as_uri() for path in paths]
        self._loop_before = "off"

    async def start(self, *, loop: bool) -> None:
        """Play the first file that can be played. Raises the last one's error when none can."""
        self._loop_before = self.music.loop
        await self.ask("player_set", loop="playlist" if loop else "off")
        await self.ask("play_files", files=self._files)

    async def wait_for_the_end(self, finished: asyncio.Event) -> None:
        """Set `finished` when none of the files plays any more."""
        while self._plays():
            await asyncio.sleep(LOOK_SEC)
        finished.set()

    async def go(self) -> None:
        await self.ask("player_set", loop=self._loop_before)
        await self.ask("playlist_remove", track_ids=self._files)
        if self._plays():
            await self.ask("skip" if self.music.radio is not None else "stop")

    def view(self) -> View:
        music = self.music
        place = self._files.index(music.track_id) if music.track_id in self._files else 0
        view = self.view_of(music, f"lofi play · {place + 1} of {len(self._files)}")
        return replace(view, upcoming=self._upcoming())

    async def pressed(self, key: str) -> None:
        if key == "r":
            await self.ask("player_set", loop="off" if self.music.loop != "off" else "playlist")
        else:
            await super().pressed(key)

    def _plays(self) -> bool:
        music = self.music
        return music.state != "stopped" and music.track_id in self._files

    def _upcoming(self) -> str | None:
        music = self.music
        following = music.playlist[music.playlist_position :]
        if not following and music.loop == "playlist":
            following = music.playlist
        path = path_of(following[0]) if following else None
        return shown(path.stem) if path is not None else None
