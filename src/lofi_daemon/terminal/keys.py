"""Single keys from the terminal, while the event loop runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

KEY_POLL_SEC = 0.05
_ARROWS = {
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\xe0M": "right",
    "\xe0K": "left",
}


@contextmanager
def single_keys(on_key: Callable[[str], None]) -> Generator[None, None, None]:
    """Inside this block every key pressed is handed to `on_key` at once, and not shown."""
    if sys.platform == "win32":
        with _windows_keys(on_key):
            yield
    else:
        with _unix_keys(on_key):
            yield


def keys_of(written: str) -> Iterator[str]:
    """What a terminal sends, key by key: characters, and the names of the arrows."""
    while written:
        arrow = next((name for name in _ARROWS if written.startswith(name)), None)
        yield _ARROWS[arrow] if arrow is not None else written[0]
        written = written[len(arrow or " ") :]


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _windows_keys(on_key: Callable[[str], None]) -> Generator[None, None, None]:
        async def poll() -> None:
            while True:
                written = ""
                while msvcrt.kbhit():
                    written += msvcrt.getwch()
                for key in keys_of(written):
                    on_key(key)
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
            for key in keys_of(os.read(descriptor, 64).decode(errors="ignore")):
                on_key(key)

        tty.setcbreak(descriptor)
        loop.add_reader(descriptor, read)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
