"""A daemon's life: from the first line of its client to an exit that leaves nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

from lofi_daemon.backends.protocol import Backend
from lofi_daemon.backends.registry import FACTORIES, Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.lines import Line
from lofi_daemon.rpc.serving import Serving
from lofi_daemon.rpc.stdio import (
    LineReader,
    MessageWriter,
    ProtocolStreams,
    guard_stdio,
)
from lofi_daemon.text import show_log
from lofi_daemon.tracks import TrackCache

log = logging.getLogger(__name__)

# Lines that were read and are not answered yet. More wait in the pipe.
MAX_OPEN_LINES = 64
# When none of them is answered in this time, a client that has gone is not waited for.
OPEN_LINES_SEC = 1.0
# With those of `Serving` these leave room in the two seconds that a client waits for the end.
ANSWER_SEC = 0.2
FLUSH_SEC = 0.5
# Longer than all of these. A loop that has not come to its end by then waits for a disk, which may
# never answer.
LAST_RESORT_SEC = 4.0


def serve(
    settings: Settings, factories: Mapping[str, Callable[[Settings], Backend]] = FACTORIES
) -> NoReturn:
    """Serve one client on standard input and output, then end the process with status 0.

    Raises ConfigurationError before anything is served.
    """
    registry = Registry(settings, factories)
    streams = guard_stdio()
    show_log(logging.INFO)
    # Not asyncio.run: that waits for threads, and a file system may never answer one.
    try:
        asyncio.new_event_loop().run_until_complete(_serve(settings, registry, streams))
    finally:  # also where the loop ends by a defect
        registry.leave()
    logging.shutdown()
    sys.stderr.flush()
    # Not by way of the interpreter's end: a model call in the other thread could hold that up.
    os._exit(0)


async def _serve(settings: Settings, registry: Registry, streams: ProtocolStreams) -> None:
    loop = asyncio.get_running_loop()

    def stop_from_thread() -> None:
        _end_anyway(registry)
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(serving.daemon.stop)

    writer = MessageWriter(streams.messages, on_broken=stop_from_thread)
    serving = Serving(settings, registry, writer)
    stopping, dispatcher = serving.daemon.stopping, serving.dispatcher
    await serving.open()
    open_lines = threading.BoundedSemaphore(MAX_OPEN_LINES)

    def wait_for_room(seconds: float) -> bool:
        return writer.wait_for_room(seconds) and open_lines.acquire(timeout=OPEN_LINES_SEC)

    def on_line(line: Line) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(dispatcher.handle, line, open_lines.release)

    _stop_on_signals(stop_from_thread)
    writer.start()
    LineReader(
        streams.requests,
        on_line=on_line,
        on_end=stop_from_thread,
        wait_for_room=wait_for_room,
    ).start()
    tidying = loop.run_in_executor(None, _tidy, serving.daemon.tracks)
    await stopping.wait()
    _end_anyway(registry)
    serving.leave()
    await dispatcher.finish(ANSWER_SEC)
    await serving.close()
    await asyncio.wait([tidying], timeout=ANSWER_SEC)
    writer.close(FLUSH_SEC)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """Handled by the interpreter, which also sees a signal while the loop is held by a call."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())  # pyright: ignore[reportUnknownLambdaType]


def _end_anyway(registry: Registry) -> None:
    """End the process after a while, whatever its threads wait for."""

    def end() -> None:
        try:
            registry.leave()
        finally:
            os._exit(0)

    timer = threading.Timer(LAST_RESORT_SEC, end)
    timer.daemon = True
    timer.start()


def _tidy(tracks: TrackCache) -> None:
    """What a crash left behind goes, and what exceeds the cache's limit since it was lowered."""
    try:
        tracks.prepare()
        tracks.evict()
    except LofiError as error:
        log.warning("%s %s", error, error.hint)
