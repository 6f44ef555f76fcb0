"""The screen of a Neovim as a person has it: attached over its socket like any other interface."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest

PROMPTS = ("Press ENTER", "-- More --", "Type number and <Enter>")
"""What stands on the screen of a Neovim that waits for a key before it goes on. The last is a
question of `vim.ui.select` itself: a test that expects one puts a function in its place."""


class Screen:
    """Watches everything that one Neovim draws.

    A prompt that waits for Enter is noted, with the screen as it was, and answered, so that the
    test goes on; `traps` has them all.
    """

    def __init__(self, address: Path, columns: int, lines: int) -> None:
        self.traps: list[str] = []
        self._rows = [[" "] * columns for _ in range(lines)]
        self._ready = threading.Event()
        self._socket = self._connect(address)
        self._send(0, "nvim_ui_attach", columns, lines, {"ext_linegrid": True, "rgb": True})
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "Neovim drew nothing"

    def _connect(self, address: Path) -> socket.socket:
        deadline = time.monotonic() + 20
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(address))
            except OSError:
                connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return connection

    def _send(self, number: int, method: str, *arguments: Any) -> None:
        self._socket.sendall(msgpack.packb([0, number, method, arguments]))

    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self._rows)

    def _watch(self) -> None:
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="replace", strict_map_key=False)
        with contextlib.suppress(OSError):  # Neovim has ended
            while received := self._socket.recv(65536):
                unpacker.feed(received)
                for message in unpacker:
                    if message[0] == 2 and message[1] == "redraw":
                        for name, *calls in message[2]:
                            for call in calls:
                                self._draw(name, call)

    def _draw(self, name: str, call: list[Any]) -> None:
        if name == "grid_resize":
            _, columns, lines = call
            self._rows = [[" "] * columns for _ in range(lines)]
        elif name == "grid_clear":
            self._rows = [[" "] * len(row) for row in self._rows]
        elif name == "grid_line":
            _, row, column, cells = call[:4]
            for cell in cells:
                for _ in range(cell[2] if len(cell) > 2 else 1):
                    self._rows[row][column] = cell[0]
                    column += 1
        elif name == "grid_scroll":
            self._scroll(*call[1:6])
        elif name == "flush":
            self._ready.set()
            text = self.text()
            if any(prompt in text for prompt in PROMPTS):
                if not self.traps or self.traps[-1] != text:
                    self.traps.append(text)
                self._send(1, "nvim_input", "<CR>")

    def _scroll(self, top: int, bottom: int, left: int, right: int, by: int) -> None:
        before = [row[left:right] for row in self._rows]
        for row in range(top, bottom):
            if top <= row + by < bottom:
                self._rows[row][left:right] = before[row + by]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def fail_where_trapped(self) -> None:
        if self.traps:
            pytest.fail(f"{len(self.traps)} times Neovim waited for Enter:\n{self.traps[0]}")
