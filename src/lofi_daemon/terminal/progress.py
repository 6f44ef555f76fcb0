"""How far a piece of work is, in a terminal or in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from lofi_daemon.terminal.streams import can_draw
from lofi_daemon.text import say, shown

Show = Callable[[float, str], None]
"""Told the share that is done (0 to 1), and what is being done."""


def progress_display() -> AbstractContextManager[Show]:
    """A bar on a terminal that can draw one; otherwise a line for every tenth."""
    if can_draw(sys.stderr):
        return _Bar()
    return nullcontext(_plain_lines())


def _plain_lines() -> Show:
    told = -1

    def show(share: float, what: str) -> None:
        nonlocal told
        percent = int(100 * share)
        if percent // 10 > told:
            told = percent // 10
            say(f"{percent:3d} % {what}", file=sys.stderr)

    return show


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Show:
        self._bar.start()
        return self._show

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def _show(self, share: float, what: str) -> None:
        self._bar.update(self._task, completed=share, description=shown(what))
