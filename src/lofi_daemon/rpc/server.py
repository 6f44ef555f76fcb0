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
from functools import partial
from typing import NoReturn

from lofi_daemon.backends.protocol import Backend
from lofi_daemon.backends.registry import FACTORIES, Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.house import open_house
from lofi_daemon.models.download_processes import DownloadProcesses
from lofi_daemon.player.events import PlaybackEnded
from lofi_daemon.player.playback import Playback
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Dispatcher
from lofi_daemon.rpc.handover import Music, put_on, taken
from lofi_daemon.rpc.methods import METHODS
from lofi_daemon.rpc.methods.backends import tell_of_download
from lofi_daemon.rpc.methods.generation import tell_of_job
from lofi_daemon.rpc.methods.playback import tell_of_playback, tell_what_plays
from lofi_daemon.rpc.methods.radio import tell_of_waiting
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.sharing import Sharing
from lofi_daemon.rpc.stdio import (
    Line,
    LineReader,
    MessageWriter,
    ProtocolStreams,
    guard_stdio,
)
from lofi_daemon.tracks import TrackCache

log = logging.getLogger(__name__)

# Lines that were read and are not answered yet. More wait in the pipe.
MAX_OPEN_LINES = 64
# When none of them is answered in this time, a client that has gone is not waited for.
OPEN_LINES_SEC = 1.0
# Together these leave room in the two seconds that a client waits for the process to end.
ANSWER_SEC = 0.2
STOP_JOBS_SEC = 0.6
STOP_SEC = 1.0
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
    # Not asyncio.run: that waits for threads, and a file system may never answer one.
    asyncio.new_event_loop().run_until_complete(_serve(settings, registry, streams))
    logging.shutdown()
    sys.stderr.flush()
    # Not by way of the interpreter's end: a model call in the other thread could hold that up.
    os._exit(0)


async def _serve(settings: Settings, registry: Registry, streams: ProtocolStreams) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop_from_thread() -> None:
        _end_anyway()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stopping.set)

    writer = MessageWriter(streams.messages, on_broken=stop_from_thread)
    notifier = Notifier(writer)
    daemon = Daemon(
        **vars(open_house(settings, registry)),
        notifier=notifier,
        downloads=DownloadProcesses(partial(tell_of_download, notifier)),
        stopping=stopping,
    )
    daemon.jobs.subscribe(partial(tell_of_job, notifier))
    dispatcher = Dispatcher(daemon, METHODS, writer.send)
    sharing = daemon.sharing = Sharing(
        settings.tracks_folder,
        notifier,
        carry_out=dispatcher.carry_out,
        greet=partial(tell_what_plays, daemon),
        music=partial(taken, daemon.playback, daemon.station),
        put_on=partial(_go_on, daemon),
    )
    daemon.tracks.protect(sharing.protected)
    daemon.playback.subscribe(partial(tell_of_playback, sharing))
    daemon.station.subscribe(partial(tell_of_waiting, sharing))
    await sharing.join()
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
    tidying = loop.run_in_executor(None, _tidy, daemon.tracks)
    await stopping.wait()
    _end_anyway()
    sharing.leave()
    daemon.station.stop()
    daemon.jobs.stop_accepting()
    await dispatcher.finish(ANSWER_SEC)
    closing = {
        asyncio.ensure_future(each)
        for each in (
            daemon.jobs.close(STOP_JOBS_SEC),
            _fall_silent(daemon.playback, sharing),
            daemon.downloads.close(),
        )
    }
    ended, _ = await asyncio.wait(closing, timeout=STOP_SEC)
    for each in ended:
        if (defect := each.exception()) is not None:
            log.error("Not all ended well", exc_info=defect)
    await asyncio.wait([tidying], timeout=ANSWER_SEC)
    writer.close(FLUSH_SEC)


async def _fall_silent(playback: Playback, sharing: Sharing) -> None:
    """End the sound here; another daemon may go on with the music then."""
    try:
        await playback.close()
    finally:
        sharing.close()


async def _go_on(daemon: Daemon, music: Music) -> None:
    """Go on with the music of a daemon that has ended; where that cannot be, it ends too."""
    try:
        await put_on(music, daemon.playback, daemon.station)
    except LofiError as error:
        if music.track_id is not None and daemon.sharing is not None:
            ended = PlaybackEnded(music.track_id, "error", error)
            tell_of_playback(daemon.sharing, ended)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """Handled by the interpreter, which also sees a signal while the loop is held by a call."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())  # pyright: ignore[reportUnknownLambdaType]


def _end_anyway() -> None:
    """End the process after a while, whatever its threads wait for."""
    timer = threading.Timer(LAST_RESORT_SEC, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _tidy(tracks: TrackCache) -> None:
    """What a crash left behind goes, and what exceeds the cache's limit since it was lowered."""
    try:
        tracks.prepare()
        tracks.evict()
    except LofiError as error:
        log.warning("%s %s", error, error.hint)
