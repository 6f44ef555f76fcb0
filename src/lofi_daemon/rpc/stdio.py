"""The guarded descriptors, reading requests, writing messages.

Reading and writing each have a thread. That works for pipes, files and terminals on every
platform, costs nothing while idle, and lets neither a silent nor a slow client block the loop.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lofi_daemon.lines import Line, split_lines

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class ProtocolStreams:
    """Descriptors that nobody else in the process knows."""

    requests: int
    messages: int


def guard_stdio() -> ProtocolStreams:
    """Take descriptors 0 and 1 for the protocol alone.

    Afterwards whatever prints to standard output, native libraries and child processes included,
    prints to standard error, and whatever reads standard input finds nothing. Must run before
    native code is imported.
    """
    requests, messages = os.dup(0), os.dup(1)
    if sys.platform != "win32":
        os.set_blocking(requests, True)
        os.set_blocking(messages, True)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # started without standard error
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)
    sys.stdout = sys.stderr
    return ProtocolStreams(requests, messages)


class LineReader:
    """Hands lines to `on_line` from a thread of its own, then calls `on_end`.

    `wait_for_room(seconds)` is asked before each line: while it gives False nothing more is read,
    unless the client has gone.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        on_line: Callable[[Line], None],
        on_end: Callable[[], None],
        wait_for_room: Callable[[float], bool],
    ) -> None:
        self._descriptor = descriptor
        self._on_line = on_line
        self._on_end = on_end
        self._wait_for_room = wait_for_room
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        for line in split_lines(self._read):
            while not self._wait_for_room(0.25):
                if _hung_up(self._descriptor):
                    return self._on_end()
            self._on_line(line)
        return self._on_end()

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:  # a terminal that was closed
            return b""


def _hung_up(descriptor: int) -> bool:
    """Whether the other end of a pipe is closed, even while it holds unread lines."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


class MessageWriter:
    """Writes messages in order from a thread of its own.

    `send` never waits. While a client does not read, its requests should not be read either
    (`wait_for_room`), and progress is thinned: a message with a `replaces` key takes the place of
    an older unsent one with that key.
    """

    THIN_BYTES = 1 << 18
    FULL_BYTES = 1 << 20

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._condition = threading.Condition()
        self._unsent: deque[_Unsent] = deque()
        self._replaceable: dict[str, _Unsent] = {}
        self._backlog = 0
        self._closing = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="messages", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, line: bytes, *, replaces: str | None = None) -> None:
        """Queue a line for writing. Lost when the client is gone."""
        with self._condition:
            if self._broken or self._closing:
                return
            if replaces is not None and self._backlog > self.THIN_BYTES:
                older = self._replaceable.get(replaces)
                if older is not None:
                    self._backlog += len(line) - len(older.line)
                    older.line = line
                    return
            message = _Unsent(line, replaces)
            self._unsent.append(message)
            if replaces is not None:
                self._replaceable[replaces] = message
            self._backlog += len(line)
            self._condition.notify_all()

    def wait_for_room(self, timeout_sec: float) -> bool:
        """Wait (in another thread than the loop's) until most is sent; whether that came true."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._backlog < self.FULL_BYTES or self._broken, timeout_sec
            )

    def close(self, timeout_sec: float) -> None:
        """Write what is left, as far as the client takes it in that time."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout_sec)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._unsent or self._closing)
                if not self._unsent:
                    return
                message = self._unsent.popleft()
                if message.key is not None and self._replaceable.get(message.key) is message:
                    del self._replaceable[message.key]
            try:
                view = memoryview(message.line)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                with self._condition:
                    self._broken = True
                    self._unsent.clear()
                    self._backlog = 0
                    self._condition.notify_all()
                self._on_broken()
                return
            with self._condition:
                self._backlog -= len(message.line)
                self._condition.notify_all()


@dataclass(eq=False)
class _Unsent:
    line: bytes
    key: str | None
