"""When the desktop hears of the music: from the first track that plays here to the end."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from lofi_daemon.mpris.shown import Shown, shown
from lofi_daemon.player.events import PlaybackEvent, PlaybackStarted
from lofi_daemon.player.playback import Playback
from lofi_daemon.radio.presets import Presets, load_presets

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

    from lofi_daemon.mpris.service import Controls

log = logging.getLogger(__name__)

# what only a machine with a session bus needs, and only where something plays
SERVICE = "lofi_daemon.mpris.service"


class Announcement:
    """Lives in the event loop. Nobody waits for it, and nothing of it reaches the player but what
    a listener asked for: where there is no bus, or it fails, there is one line in the log.
    """

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._presets = Presets({})
        self._serving: asyncio.Task[None] | None = None
        self._bus: MessageBus | None = None
        self._controls: Controls | None = None
        if sys.platform == "linux":
            playback.subscribe(self._on_playback)
            playback.watch(self._show)

    def close(self) -> None:
        """Be gone from the desktop at once."""
        if self._serving is not None:
            self._serving.cancel()
        self._leave()

    def _on_playback(self, event: PlaybackEvent) -> None:
        if isinstance(event, PlaybackStarted) and self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            self._presets = await asyncio.to_thread(load_presets)
            service: Any = await asyncio.to_thread(
                importlib.import_module, f"{__package__}.service"
            )
            self._bus = await service.connect()
            self._controls = service.Controls(self._playback, self._moment())
            await service.serve(self._bus, self._controls, self._show)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: a desktop's bus is a stranger
            log.info("Media keys do not reach the music: %s", error or type(error).__name__)
        finally:
            self._leave()

    def _leave(self) -> None:
        bus, self._bus, self._controls = self._bus, None, None
        if bus is not None:
            bus.disconnect()

    def _moment(self) -> Shown:
        table = self._playback.table
        title = self._presets.title(table.playing.prompt) if table.playing is not None else ""
        return shown(table, self._playback.loop, title, time.monotonic())

    def _show(self) -> None:
        if self._controls is None:
            return
        try:
            self._controls.show(self._moment())
        except Exception:  # the boundary: what the desktop sees is no reason to stop the music
            log.exception("The desktop was not told what plays")
