"""One connection: the command's process, requests to the daemon at its other end, its answers.

Two threads read what the process writes. Whoever asks waits for the next message in a thread of its
own, which a cancelled token wakes at once. Nothing but a ping is written before the other end has
shown that it speaks the protocol: were it a shell, it must have nothing of the user's to carry out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, cast

from lofi_daemon.backends.remote.address import Address
from lofi_daemon.backends.remote.told import error_told, object_told
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.child import REACHING, Companion, program
from lofi_daemon.errors import ParseError, RemoteUnavailable
from lofi_daemon.lines import MAX_LINE_BYTES, Line, parse_line, split_lines
from lofi_daemon.text import shown

log = logging.getLogger(__name__)

# From the start of the command to the first answer: another machine's Python, over any network.
GREETING_SEC = 20.0
# After so much silence the other end is asked whether it is there, and after so much given up.
PING_SEC = 5.0
SILENCE_SEC = 15.0
# What a shell prints before the daemon starts is passed over, up to here.
MAX_BANNER_LINES = 100
# Once its input has ended, a daemon ends by itself; ssh takes the time of the network.
CLOSE_SEC = 1.0
LAST_WORDS_SEC = 0.3
MAX_WORDS = 300
_INBOX = 256
_CHUNK_BYTES = 1 << 16

Json = dict[str, Any]


class Lost(Exception):
    """The connection is gone; `error` is what to tell. `is_over`: a new one would be no better."""

    def __init__(self, error: RemoteUnavailable, *, is_over: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_over = is_over


class _Woken:
    """Stands in the inbox where whoever waits shall look at the token."""


class _Ended:
    """Stands in the inbox where nothing more comes."""


_WOKEN: Final = _Woken()
_ENDED: Final = _Ended()


class Peer:
    """Started when it is made; used by one thread at a time. Raises Lost.

    `greet` comes first. `close` may be called from any thread, more than once.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        try:
            self._process = Companion(program(address.command, also=REACHING))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Lost(self._away(f"{address.command[0]}: {reason}")) from error
        self._inbox: queue.Queue[Line | _Woken | _Ended] = queue.Queue(_INBOX)
        self._words: deque[str] = deque(maxlen=20)
        self._heard_at = time.monotonic()
        self._unfinished = 0
        self._requests = 0
        self._greeted = False
        self._banner = 0
        self._closed = threading.Event()
        self._readers = [
            threading.Thread(target=work, name="remote", daemon=True)
            for work in (self._read_messages, self._read_words)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def is_open(self) -> bool:
        return not self._closed.is_set() and self._process.status is None

    def greet(self, cancel: CancelToken) -> Json:
        """The answer to the first ping. Raises Lost, Cancelled."""
        answer = self.call("ping", {}, cancel, patience_sec=GREETING_SEC)
        self._greeted = True
        return answer

    def call(
        self,
        method: str,
        params: Mapping[str, Any],
        cancel: CancelToken,
        *,
        patience_sec: float | None = None,
    ) -> Json:
        """The result of a request. Raises Lost, Cancelled, and the other end's own error.

        patience_sec: for all of it; None: as long as the other end gives signs.
        """
        self._requests += 1
        identity = f"{method}-{self._requests}"
        self._heard_at = time.monotonic()
        self._send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
        deadline = None if patience_sec is None else time.monotonic() + patience_sec
        while True:
            message = self.receive(cancel, deadline)
            if message.get("id") == identity:
                if "error" in message:
                    raise error_told(self.address.name, message["error"])
                return object_told(self.address.name, message.get("result"))

    def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """A request that wants no answer; lost where the connection is."""
        with contextlib.suppress(Lost):
            self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def receive(self, cancel: CancelToken, deadline: float | None = None) -> Json:
        """The next message. Raises Lost, Cancelled.

        deadline: on time.monotonic's clock; None: as long as the other end gives signs.
        """
        with cancel.on_cancel(self._wake):
            while True:
                line = self._next(deadline)
                cancel.raise_if_cancelled()
                if isinstance(line, _Woken):
                    continue
                try:
                    message = parse_line(line)
                    if isinstance(message, dict) and "jsonrpc" in message:
                        return cast("Json", message)
                    problem = "a line is no message of it"
                except ParseError as error:
                    problem = error.message.rstrip(".")
                self._banner += 1
                if self._greeted or line is None or self._banner > MAX_BANNER_LINES:
                    raise self._nonsense(line, problem)
                self._words.append(_cut(line))

    def close(self) -> None:
        """End the connection, and the process behind it within a second or two."""
        self._closed.set()
        self._process.end_input()
        if not self._process.wait(CLOSE_SEC):
            self.kill()

    def kill(self) -> None:
        """End it at once; nothing is owed to the other end."""
        self._closed.set()
        self._process.kill()
        self._process.wait(CLOSE_SEC)

    # Waiting

    def _wake(self) -> None:
        """Called by whoever cancels, in a thread that must not wait."""
        with contextlib.suppress(queue.Full):  # then there is something to wake up for
            self._inbox.put_nowait(_WOKEN)

    def _next(self, deadline: float | None) -> Line | _Woken:
        """What comes next. Raises Lost."""
        pinged = False
        while True:
            now = time.monotonic()
            silent = now - self._heard_at
            if deadline is not None and now >= deadline:
                raise self._lost("it does not answer", is_over=True)
            if deadline is None and silent >= SILENCE_SEC:
                raise self._lost(f"it has been silent for {silent:.0f} s", is_over=True)
            if deadline is None and silent >= PING_SEC and not pinged:
                pinged = True
                self._send({"jsonrpc": "2.0", "id": "alive", "method": "ping"})
            limit = SILENCE_SEC if pinged else PING_SEC
            left = limit - silent if deadline is None else deadline - now
            try:
                line = self._inbox.get(timeout=max(0.01, left))
            except queue.Empty:
                continue
            if isinstance(line, _Ended):
                raise self._lost(None)
            return line

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            self._process.write(line)
        except (OSError, ValueError):  # closed at the other end, or here
            raise self._lost(None) from None

    # What to tell

    def _lost(self, reason: str | None, *, is_over: bool = False) -> Lost:
        """The process is of no use any more: it is ended, and its last words are the reason."""
        if reason is None:
            reason = self._last_words()
        self.kill()
        return Lost(self._away(reason), is_over=is_over)

    def _nonsense(self, line: Line, problem: str) -> Lost:
        self.kill()
        quoted = f': "{_cut(line)[:80]}"' if line is not None else ""
        error = RemoteUnavailable(
            f"{self.address.name} does not speak lofi's protocol: {shown(problem)}{quoted}.",
            hint=f"What `{self.address.written}` starts there must be lofi-daemon, which alone may "
            "print.",
        )
        return Lost(error, is_over=True)

    def _away(self, reason: str) -> RemoteUnavailable:
        return RemoteUnavailable(
            f"{self.address.name} cannot be reached: {reason.rstrip('.')}.",
            hint=f"Try `{self.address.written}` in a terminal: it should wait for input without a "
            "word and without a question.",
        )

    def _last_words(self) -> str:
        """How the process ended: by a signal, or what it said last."""
        self._process.wait(LAST_WORDS_SEC)
        self._readers[1].join(LAST_WORDS_SEC)
        status = self._process.status
        if status is None:
            return "the connection was closed"
        if status < 0:
            return f"the command was ended by signal {-status}"
        spoken = [each for each in self._words if each]
        return spoken[-1] if spoken else f"the command ended with status {status}"

    # Reading, in threads

    def _read_messages(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in split_lines(self._chunk):
                if not self._put(line):
                    return
        self._put(_ENDED)

    def _put(self, entry: Line | _Ended) -> bool:
        """False once nobody will take it."""
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._inbox.put(entry, timeout=1.0)
                return True
        return False

    def _chunk(self) -> bytes:
        """The next bytes; none where a line has become too long to wait for its end."""
        if self._unfinished > MAX_LINE_BYTES:
            return b""
        chunk = self._process.read(_CHUNK_BYTES)
        self._heard_at = time.monotonic()
        end = chunk.rfind(b"\n")
        self._unfinished = self._unfinished + len(chunk) if end < 0 else len(chunk) - end - 1
        return chunk

    def _read_words(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in split_lines(lambda: self._process.read_errors(_CHUNK_BYTES)):
                words = _cut(line)
                self._words.append(words)
                log.debug("%s: %s", self.address.name, words)


def _cut(line: Line) -> str:
    if line is None:
        return "a line without an end"
    return shown(line[: 4 * MAX_WORDS].decode(errors="replace").strip())[:MAX_WORDS]
