"""How soon a track is heard: the first sound in a recording against `generation_complete`.

    python -m benchmarks.early_sound [backend] [seconds …]

A real daemon and player, and PulseAudio with a null sink that is recorded. The model is loaded
first; then a track of 30 s and one of 120 s are asked for with `play: "early"`, in one run. The
daemon's processor time up to both moments is what counts where the machine has other work too; its
largest memory so far is told beside it. LOFI_EARLY=off asks for `play: "ready"` instead. Needs
PulseAudio (see tests/system.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tests.daemon_process import DaemonProcess
from tests.player.pulse import PulseServer

PATIENCE_SEC = 3600.0
SETTLE_SEC = 0.5
AUDIBLE = 1e-4
PLAY = "ready" if os.environ.get("LOFI_EARLY") == "off" else "early"


def first_sound(daemon: DaemonProcess, server: PulseServer, backend: str, seconds: float) -> str:
    """Make and hear one track; the line that tells of it."""
    recording = server.listen()
    time.sleep(SETTLE_SEC)
    before = len(recording.so_far())
    process = psutil.Process(daemon.process.pid)
    asked, spent = time.monotonic(), worked(process)
    track_id = daemon.request(
        "generate", prompt="rainy night, rhodes", duration_sec=seconds, backend=backend,
        seed=round(seconds), play=PLAY,
    )["track_id"]  # fmt: skip
    daemon.notification("playback_started", PATIENCE_SEC, track_id=track_id)
    spent_first = worked(process) - spent
    complete = daemon.arrival(daemon.final(track_id, PATIENCE_SEC)) - asked
    (begun,) = daemon.notifications("playback_started", track_id=track_id)
    spent_all = worked(process) - spent
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
        f"{complete:6.2f} s, {100 * heard / complete:3.0f} %; longest silence {longest:.2f} s\n"
        f"  processor {spent_first:.1f} of {spent_all:.1f} s, "
        f"{100 * spent_first / spent_all:.0f} %; memory at most {largest(process) / 1e6:.0f} MB"
    )


def worked(process: psutil.Process) -> float:
    """Seconds of the processor, without the player's."""
    times = process.cpu_times()
    return times.user + times.system


def largest(process: psutil.Process) -> int:
    """The largest resident size so far, in bytes (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "demo"
    lengths = [float(each) for each in sys.argv[2:]] or [30.0, 120.0]
    with tempfile.TemporaryDirectory() as folder, PulseServer(48000) as server:
        configured = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("LOFI_") and name != "LOFI_EARLY"
        }
        environment = server.environment | configured
        with DaemonProcess(Path(folder), environment=environment) as daemon:
            warm = daemon.request("generate", prompt="rain", duration_sec=5, backend=backend)
            daemon.final(warm["track_id"], PATIENCE_SEC)
            daemon.request("audio_devices")  # the player is up
            for seconds in lengths:
                print(f"load {os.getloadavg()[0]:.1f}")
                print(first_sound(daemon, server, backend, seconds), flush=True)


if __name__ == "__main__":
    main()
