"""A picture of `lofi-daemon radio` for the README: the real screen of the real command.

    python -m scripts.radio_picture docs

Lets the bundled model make two tracks, waits until one plays and another is being made, and writes
what the terminal shows as radio.svg. Needs tmux; plays to nobody.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from scripts.screenshot import save
from tests.nvim.conftest import ROOT
from tests.nvim.terminal import Terminal

COLUMNS, ROWS = 78, 12
PATIENCE_SEC = 900.0
LISTEN_SEC = 9.0


def take(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "HOME": home,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
            "LANG": "C.UTF-8",
            "TERM": "tmux-256color",
            "COLORTERM": "truecolor",
            "LOFI_AUDIO_DEVICE": "null",
        }
        radio = [sys.executable, "-m", "lofi_daemon", "radio", "rainy night"]
        settings = ["--duration", "60", "--seed", "7", "--backend", "demo"]
        terminal = Terminal([*radio, *settings], environment, COLUMNS, ROWS)
        try:
            terminal.until("1/2 ready", PATIENCE_SEC)
            terminal.type("n")
            terminal.until("making", PATIENCE_SEC)
            terminal.type("k")
            terminal.until("♥", PATIENCE_SEC)
            time.sleep(LISTEN_SEC)
            save(terminal, folder / "radio.svg", "lofi-daemon radio", COLUMNS)
            terminal.type("q")
        finally:
            terminal.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
