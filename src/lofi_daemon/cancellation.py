"""Stopping work that another thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Cancelled(Exception):
    """Raised inside the work when it was asked to stop."""


class CancelToken:
    """A thread-safe request to stop.

    The work asks `raise_if_cancelled()` between its steps. What cannot ask while it runs (a model
    call) registers a callback with `on_cancel` for as long as it runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Ask the work to stop. May be called from any thread, any number of times."""
        with self._lock:
            self._cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once `cancel` was called."""
        if self._cancelled:
            raise Cancelled

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Generator[None]:
        """Call `callback` (from the cancelling thread) if cancelled inside this block.

        Cancelled already: raises `Cancelled` instead of entering the block.
        """
        with self._lock:
            self.raise_if_cancelled()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
