"""How soon a track is heard: the first sound in a recording against `generation_complete`.

    python -m benchmarks.early_sound [backend] [seconds …]

A real daemon and player, and PulseAudio with a null sink that is recorded. The model is loaded
first; then a track of 30 s and one of 120 s are asked for with `play: "early"`, in one run. Needs
PulseAudio (see tests/system.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.daemon_process import DaemonProcess
from tests.player.pulse import PulseServer

PATIENCE_SEC = 3600.0
SETTLE_SEC = 0.5
AUDIBLE = 1e-4


def first_sound(daemon: DaemonProcess, server: PulseServer, backend: str, seconds: float) -> str:
    """Make and hear one track; the line that tells of it."""
    recording = server.listen()
    time.sleep(SETTLE_SEC)
    before = len(recording.so_far())
    asked = time.monotonic()
    track_id = daemon.request(
        "generate", prompt="rainy night, rhodes", duration_sec=seconds, backend=backend,
        seed=round(seconds), play="early",
    )["track_id"]  # fmt: skip
    complete = daemon.arrival(daemon.final(track_id, PATIENCE_SEC)) - asked
    (begun,) = daemon.notifications("playback_started", track_id=track_id)
    told = daemon.arrival(begun) - asked
    time.sleep(max(0.0, told + 2.0 - complete))
    sound = np.abs(recording.so_far()[before:]).max(axis=1)
    heard = np.flatnonzero(sound > AUDIBLE)[0] / server.sample_rate
    deaf = np.flatnonzero(sound > AUDIBLE)
    longest = np.diff(deaf).max() / server.sample_rate
    daemon.request("stop")
    recording.stop()
    return (
        f"{backend}, {seconds:5.0f} s: heard {heard:6.2f} s (told {told:6.2f}), complete "
        f"{complete:6.2f} s, {100 * heard / complete:3.0f} %; longest silence {longest:.2f} s"
    )


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "demo"
    lengths = [float(each) for each in sys.argv[2:]] or [30.0, 120.0]
    with tempfile.TemporaryDirectory() as folder, PulseServer(48000) as server:
        configured = {name: value for name, value in os.environ.items() if name.startswith("LOFI_")}
        environment = server.environment | configured
        with DaemonProcess(Path(folder), environment=environment) as daemon:
            warm = daemon.request("generate", prompt="rain", duration_sec=5, backend=backend)
            daemon.final(warm["track_id"], PATIENCE_SEC)
            daemon.request("audio_devices")  # the player is up
            for seconds in lengths:
                print(first_sound(daemon, server, backend, seconds), flush=True)


if __name__ == "__main__":
    main()
