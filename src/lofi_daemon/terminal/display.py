"""Show a view until the listener quits: a live screen on a terminal, plain lines anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live

from lofi_daemon.files.private import mode_of_files, private_folder, set_file_mode
from lofi_daemon.terminal.keys import single_keys
from lofi_daemon.terminal.screen import Screen, View, clock
from lofi_daemon.terminal.streams import can_draw
from lofi_daemon.text import say

log = logging.getLogger(__name__)

FRAMES_PER_SEC = 5


class Listening(Protocol):
    """What is being listened to: the view of the moment, and what a key does."""

    def view(self) -> View: ...

    async def press(self, key: str) -> None: ...


async def listen(listening: Listening, finished: asyncio.Event, log_file: Path) -> None:
    """Return when `finished` is set: by the end of the music, q, Ctrl-C, SIGTERM or SIGHUP."""
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows
            loop.add_signal_handler(getattr(signal, name), finished.set)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        await _print_lines(listening, finished)
    elif can_draw(sys.stdout):
        with _errors_into(log_file), _keys(listening, finished):
            await _show_screen(listening, finished)
    else:
        with _keys(listening, finished):
            await _print_lines(listening, finished)


async def _show_screen(listening: Listening, finished: asyncio.Event) -> None:
    with Live(
        Screen(listening.view()),
        console=Console(),
        refresh_per_second=FRAMES_PER_SEC,
        transient=True,
        redirect_stderr=False,
    ) as live:
        while not finished.is_set():
            live.update(Screen(listening.view()))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(finished.wait(), 1 / FRAMES_PER_SEC)


@contextmanager
def _keys(listening: Listening, finished: asyncio.Event) -> Generator[None, None, None]:
    """Inside this block every key does what it does at once."""
    pressed: asyncio.Queue[str] = asyncio.Queue()
    with single_keys(pressed.put_nowait):
        working = asyncio.get_running_loop().create_task(_press_keys(listening, pressed, finished))
        try:
            yield
        finally:
            working.cancel()


async def _press_keys(
    listening: Listening, pressed: asyncio.Queue[str], finished: asyncio.Event
) -> None:
    while True:
        key = await pressed.get()
        if key in ("q", "\x03"):
            finished.set()
        else:
            await listening.press(key)


async def _print_lines(listening: Listening, finished: asyncio.Event) -> None:
    printed: View | None = None
    while not finished.is_set():
        view = listening.view()
        for line in news(printed, view):
            say(line)
        printed = view
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(finished.wait(), 1 / FRAMES_PER_SEC)


def news(before: View | None, now: View) -> Iterator[str]:
    """What a reader of plain lines is told when one view follows another."""
    if before is None:
        yield now.heading
    if now.title and (before is None or before.title != now.title):
        length = f" ({clock(now.duration_sec)})" if now.duration_sec > 0 else ""
        yield f"playing: {now.title}{length}"
    made_before = before.making.title if before is not None and before.making is not None else None
    if now.making is not None and now.making.title != made_before:
        yield f"making: {now.making.title}"
    if now.notice and (before is None or before.notice != now.notice):
        yield now.notice


class NoticeHandler(logging.Handler):
    """Log records of weight become the notice on the screen."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record.getMessage())


def _opened(log_file: Path) -> int:
    """A descriptor that adds to the log, or that leads nowhere where there can be none."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        private_folder(log_file.parent)
        descriptor = os.open(log_file, flags, mode_of_files(log_file.parent))
        set_file_mode(descriptor, mode_of_files(log_file.parent))
        return descriptor
    except OSError as error:
        log.warning("There is no log in %s: %s.", log_file, error.strerror or error)
        return os.open(os.devnull, os.O_WRONLY)


@contextmanager
def _errors_into(log_file: Path) -> Generator[None, None, None]:
    """Whatever prints to standard error, native libraries included, must not tear the screen."""
    sys.stderr.flush()
    before = os.dup(2)
    log = _opened(log_file)
    os.dup2(log, 2)
    os.close(log)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
