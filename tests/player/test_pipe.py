"""The pipe to the player when either side goes."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import psutil
import pytest

from lofi_daemon.errors import LofiError
from lofi_daemon.player.pipe import PlayerPipe


async def nothing() -> None:
    pass


def settings() -> dict[str, Any]:
    return {"volume": 0.5, "crossfade_sec": 0.0, "device": "null"}


def test_what_is_asked_while_it_closes_fails_at_once() -> None:
    async def body() -> None:
        pipe = PlayerPipe(lambda event: None, nothing, settings)
        await pipe.request("open")
        player = psutil.Process(pipe.process_id or 0)
        player.send_signal(signal.SIGSTOP)
        pending = asyncio.create_task(pipe.request("devices"))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        closing = asyncio.create_task(pipe.close())
        with pytest.raises(LofiError, match="ends"):
            await pending
        assert time.monotonic() - started < 0.4
        with pytest.raises(LofiError, match="ends"):
            await pipe.request("devices")
        await closing
        player.wait(5)

    asyncio.run(body())
