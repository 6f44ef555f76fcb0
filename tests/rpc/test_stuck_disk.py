"""A disk that does not answer: nobody waits for it, and the daemon ends all the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.daemon_process import PATIENCE_SEC, DaemonProcess
from tests.rpc.conftest import QUICK, StartDaemon

# Files that the daemon reads of its own accord, below its cache folder. Whoever opens a pipe in
# their place waits for somebody who writes.
READ_FILES = (
    "tracks/0123456789abcdef.json",
    "tracks/fedcba9876543210.wav",
    "timings.json",
    "checksums.json",
    "musicgen/installed.json",
    "musicgen/config.json",
    "ace-step/manifest.json",
    "ace-step-15/int8/manifest.json",
    "ace-step-15/installed.json",
)
WAYS = ("end of input", "shutdown", "SIGTERM")


def end(daemon: DaemonProcess, way: str) -> None:
    if way == "shutdown":
        daemon.call("shutdown")
    elif way == "SIGTERM":
        daemon.signal(signal.SIGTERM)
    else:
        assert daemon.process.stdin is not None
        daemon.process.stdin.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backends", [QUICK, None], ids=["tones", "real"])
def test_pipes_in_the_place_of_files(
    start_daemon: StartDaemon, tmp_path: Path, way: str, backends: dict[str, object] | None
) -> None:
    cache = tmp_path / "cache" / "lofi.nvim"
    for name in READ_FILES:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(cache / name)
    daemon = start_daemon(backends, environment={"LOFI_AUDIO_DEVICE": "null"})
    for method in ("get_backends", "tracks_list", "status"):
        daemon.request(method)
    daemon.request("generate", prompt="rain", duration_sec=5, backend="demo")
    end(daemon, way)
    assert daemon.wait(timeout=15) == 0
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("way", ["end of input", "SIGTERM"])
def test_a_call_in_the_loop_that_does_not_return(start_daemon: StartDaemon, way: str) -> None:
    """What a network file system does whose server is gone: the daemon ends without the call."""
    daemon = start_daemon({"demo": {"stuck": True}})
    daemon.request("ping")
    daemon.call("download_backend", backend="demo")  # asks the backend in the event loop
    deadline = time.monotonic() + PATIENCE_SEC
    while "waits for ever" not in daemon.log():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end(daemon, way)
    assert daemon.wait(timeout=15) == 0
