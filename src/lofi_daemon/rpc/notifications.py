"""Whoever is told of what happens, and how it reaches one client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel

from lofi_daemon.rpc.messages import encode, notification

log = logging.getLogger(__name__)


class Tells(Protocol):
    """Whoever tells clients of something."""

    def notify(self, method: str, params: BaseModel) -> None: ...


class Sends(Protocol):
    """Where the lines for the client go."""

    def send(self, line: bytes, *, replaces: str | None = None) -> None: ...


class Notifier:
    """Sends notifications; holds them back while a batch is being answered."""

    def __init__(self, writer: Sends) -> None:
        self._writer = writer
        self._holders = 0
        self._held: list[Callable[[], None]] = []

    def notify(self, method: str, params: BaseModel, *, replaces: str | None = None) -> bool:
        """Tell the client; it may take the place of an unsent one with the same `replaces`.

        False, and a line in the log, where it cannot be encoded: no listener fails over that.
        """
        try:
            line = encode(notification(method, params))
        except Exception:
            log.exception("%s cannot be encoded", method)
            return False
        if self._holders:
            self._held.append(lambda: self._writer.send(line, replaces=replaces))
        else:
            self._writer.send(line, replaces=replaces)
        return True

    def relay(self, line: bytes) -> None:
        """A notification that another daemon wrote for this one's client."""
        if self._holders:
            self._held.append(lambda: self._writer.send(line))
        else:
            self._writer.send(line)

    def hold(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            held, self._held = self._held, []
            for send in held:
                send()
