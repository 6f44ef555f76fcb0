"""A Neovim in a real terminal: tmux runs it, types, and reads the screen."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence

import pytest

from tests.system import require


class Terminal:
    """A tmux server of its own with one window, which runs one command."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        require("tmux")
        self._socket = f"lofi-{uuid.uuid4().hex[:12]}"
        self._tmux(
            *("new-session", "-d", "-s", "lofi", "-x", str(columns), "-y", str(rows)),
            *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
            *command,
        )

    def _tmux(self, *arguments: str) -> str:
        # without a configuration file, and in UTF-8 whatever the locale is
        command = ["tmux", "-u", "-f", "/dev/null", "-L", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, *keys: str) -> None:
        """Keys as tmux names them: "Enter", "Escape", or text."""
        self._tmux("send-keys", "-t", "lofi", *keys)

    def screen(self, *, colours: bool = False) -> str:
        return self._tmux("capture-pane", "-t", "lofi", "-p", *(["-e"] if colours else []))

    def until(self, text: str, seconds: float = 20) -> str:
        """The screen as soon as it shows the text; fails after that many seconds."""
        deadline = time.monotonic() + seconds
        while text not in (screen := self.screen()):
            if time.monotonic() > deadline:
                pytest.fail(f"{text!r} did not appear in {seconds} s:\n{screen}")
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        self._tmux("kill-server")
