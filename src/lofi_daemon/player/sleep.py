"""The sleep timer: after a while the sound fades out and stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from lofi_daemon.errors import LofiError
from lofi_daemon.player.turntable import Turntable

FADE_SEC = 10.0


class SleepTimer:
    """At most one at a time. Lives in the event loop. `on_set`: called when that changes."""

    def __init__(
        self,
        turntable: Turntable,
        stop: Callable[[], Awaitable[None]],
        on_set: Callable[[], None],
    ) -> None:
        self._turntable = turntable
        self._stop = stop
        self._on_set = on_set
        self._ends_at = 0.0
        self._waiting: asyncio.Task[None] | None = None

    @property
    def left_sec(self) -> float | None:
        """Seconds until the stop; None where none is set."""
        if self._waiting is None:
            return None
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    def set(self, after_sec: float | None) -> None:
        """Stop after that many seconds, the last ones fading out; None: not at all."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if after_sec is not None:
            loop = asyncio.get_running_loop()
            self._ends_at = loop.time() + after_sec
            self._waiting = loop.create_task(self._fall_asleep(after_sec))
        self._on_set()

    async def _fall_asleep(self, after_sec: float) -> None:
        fade_sec = min(FADE_SEC, after_sec)
        await asyncio.sleep(after_sec - fade_sec)
        with contextlib.suppress(LofiError):  # a player that is gone is silent
            try:
                await self._turntable.fade_to(0.0, fade_sec)
                await asyncio.sleep(fade_sec)
                self._waiting = None
                await self._stop()
            finally:
                await self._turntable.unfade()
