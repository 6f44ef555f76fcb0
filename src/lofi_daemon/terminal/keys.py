"""Single keys from the terminal, while the event loop runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

KEY_POLL_SEC = 0.05


@contextmanager
def single_keys(on_key: Callable[[str], None]) -> Generator[None, None, None]:
    """Inside this block every key pressed is handed to `on_key` at once, and not shown."""
    if sys.platform == "win32":
        with _windows_keys(on_key):
            yield
    else:
        with _unix_keys(on_key):
            yield


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _windows_keys(on_key: Callable[[str], None]) -> Generator[None, None, None]:
        async def poll() -> None:
            while True:
                while msvcrt.kbhit():
                    on_key(msvcrt.getwch())
                await asyncio.sleep(KEY_POLL_SEC)

        polling = asyncio.get_running_loop().create_task(poll())
        try:
            yield
        finally:
            polling.cancel()
else:
    import termios
    import tty

    @contextmanager
    def _unix_keys(on_key: Callable[[str], None]) -> Generator[None, None, None]:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        loop = asyncio.get_running_loop()

        def read() -> None:
            for key in os.read(descriptor, 64).decode(errors="ignore"):
                on_key(key)

        tty.setcbreak(descriptor)
        loop.add_reader(descriptor, read)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
