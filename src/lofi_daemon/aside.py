"""Work that nobody has to wait for: a file system or a library that hangs keeps only its thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def aside(work: Callable[[], object], timeout_sec: float) -> bool:
    """Do the work in a thread of its own; whether it was done in that time.

    The thread does not keep the process alive, and what the work raises goes to the log.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="aside", daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), timeout_sec)
    except asyncio.TimeoutError:
        return False
    return True
