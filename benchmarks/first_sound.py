"""How soon a track that is there is heard after a command: the first sound in a recording.

    python -m benchmarks.first_sound [rounds]

A real daemon and player, and PulseAudio with a null sink that is recorded. For every command the
worst and the median of the rounds, in milliseconds; at most 200 are wanted. Needs PulseAudio (see
tests/system.py).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.pulse import PulseServer, Recording
from tests.player.signals import music

PATIENCE_SEC = 10.0
# A full scale of 1; what the dithering of silence leaves is below.
AUDIBLE = 1e-3
MUSIC = [f"{number:016x}" for number in range(1, 5)]
SILENCE = "f" * 16


def until_sound(recording: Recording, command: Callable[[], object]) -> float:
    """Milliseconds from just before the command to the first sound, on the recording's clock.

    What the recorder has not written yet when the command is sent counts as delay.
    """
    before = len(recording.so_far())
    sent = time.monotonic()
    command()
    while time.monotonic() - sent < PATIENCE_SEC:
        loud = np.flatnonzero(np.abs(recording.so_far()[before:]).max(axis=1) > AUDIBLE)
        if len(loud):
            return 1000.0 * float(loud[0]) / recording.sample_rate
        time.sleep(0.01)
    raise SystemExit("nothing was heard")


def settled(daemon: DaemonProcess, method: str, **params: object) -> None:
    """Carry something out and let the last of it sound off."""
    daemon.request(method, **params)
    time.sleep(0.4)


def one_round(daemon: DaemonProcess, recording: Recording) -> dict[str, float]:
    def after(command: str, **params: object) -> float:
        return until_sound(recording, lambda: daemon.request(command, **params))

    took = {"play": after("play", track_id=MUSIC[0])}
    settled(daemon, "pause")
    took["resume"] = after("resume")
    settled(daemon, "stop")
    daemon.request("radio_start", library="all")
    settled(daemon, "play", track_id=SILENCE)
    time.sleep(2.5)  # the crossing
    took["skip"] = after("skip")
    daemon.request("radio_stop")
    settled(daemon, "stop")
    took["stop, then the radio"] = after("radio_start", preset="rainy night")
    settled(daemon, "stop")
    took["play after stop"] = after("play")
    daemon.request("radio_stop")
    settled(daemon, "stop")
    return took


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder, PulseServer(48000) as server:
        tracks = Path(folder) / "lofi.nvim" / "tracks"
        for number, track_id in enumerate(MUSIC):
            put_track(tracks, track_id, music(60.0, seed=number))
        put_track(tracks, SILENCE, np.zeros_like(music(60.0)))
        slow = {"ace_step": {"seconds": {"diffusing": 60.0}, "full_model": True}}
        with DaemonProcess(Path(folder), backends=slow, environment=server.environment) as daemon:
            daemon.request("audio_devices")  # the player is up
            recording = server.listen()
            measured = [one_round(daemon, recording) for _ in range(rounds)]
            recording.stop()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {rounds} rounds")
    for name in measured[0]:
        times = [each[name] for each in measured]
        print(f"{name:24} median {statistics.median(times):4.0f} ms, worst {max(times):4.0f} ms")


if __name__ == "__main__":
    main()
