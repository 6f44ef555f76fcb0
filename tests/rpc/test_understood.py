"""What the bundled model reads from a prompt goes over the wire with the answer and the track."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.daemon_process import PATIENCE_SEC, REPOSITORY, DaemonProcess

PROMPT = "muted trumpet, no drums, 90 bpm"


def test_the_answer_and_the_finished_track_say_what_was_understood(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path) as daemon:
        request = {"prompt": PROMPT, "duration_sec": 5, "seed": 1, "inference_steps": 1}
        answer = daemon.request("generate", backend="demo", **request)
        understood = answer["understood"]
        assert understood["left_out"] == ["drums"]
        assert understood["stand_ins"] == {"muted trumpet": "saxophone"}
        assert understood["tempo"] == 89.1
        assert "no muted trumpet here: saxophone" in understood["text"]
        complete = daemon.final(answer["track_id"])["params"]
        assert complete["understood"] == understood
        again = daemon.request("generate", backend="demo", **request)
        assert (again["status"], again["understood"]) == ("cached", understood)


def test_one_track_in_a_terminal_says_it_too(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOFI_")}
    done = subprocess.run(
        [sys.executable, "-m", "lofi_daemon", "--backend", "demo", "--prompt", PROMPT,
         "--duration", "5", "--steps", "1"],
        env={**inherited, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True, text=True, check=True, timeout=PATIENCE_SEC * 4,
    )  # fmt: skip
    assert "no muted trumpet here: saxophone" in done.stdout
