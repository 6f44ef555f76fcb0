"""A command on a pseudo-terminal, with backends that play notes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from tests.daemon_process import REPOSITORY

PATIENCE_SEC = 40.0


def environment(folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LOFI_")},
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
        "XDG_CACHE_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "LOFI_AUDIO_DEVICE": "null",
        "TERM": "xterm-256color",
    }


class Terminal:
    """What a command wrote, and a keyboard; one that still runs after its test is killed."""

    running: ClassVar[list[Terminal]] = []

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        columns: int = 80,
        backends: str = '{"demo": {}}',
        variables: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """before: what runs the command, where that is not done plainly."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.tone_terminal", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(folder), "LOFI_TEST_BACKENDS": backends, **(variables or {})},
            start_new_session=True,
        )
        os.close(slave)
        self.running.append(self)
        self.written = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self.written += data.decode(errors="replace")

    def press(self, key: str) -> int:
        """Press a key; where in `written` its effect will be seen."""
        before = len(self.written)
        os.write(self._master, key.encode())
        return before

    def until(self, seen: str | Callable[[str], bool], since: int = 0) -> None:
        deadline = time.monotonic() + PATIENCE_SEC
        while True:
            text = plain(self.written[since:])
            if seen(text) if callable(seen) else seen in text:
                return
            assert time.monotonic() < deadline, f"{seen!r} is not in {text[-1500:]!r}"
            assert self.process.poll() is None, text
            time.sleep(0.05)

    def end(self) -> int:
        """Wait until the command ends by itself; its exit status."""
        status = self.process.wait(PATIENCE_SEC)
        self._reader.join(1)
        return status


def kill_all() -> None:
    """End the commands that still run."""
    while Terminal.running:
        process = Terminal.running.pop().process
        if process.poll() is None:
            process.kill()
            process.wait()


def plain(written: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
