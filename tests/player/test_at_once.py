"""From the request to the sound, through the daemon, on a real sound server."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.pulse import PulseServer, Recording
from tests.player.signals import music

ONE, TWO = "1" * 16, "2" * 16


def seconds_to_sound(recording: Recording, daemon: DaemonProcess, track_id: str) -> float:
    """From just before `play` is sent to the first sample that is heard, on the recording's clock.

    What the recorder has not written yet when `play` is sent counts as delay.
    """
    before = len(recording.so_far())
    sent = time.monotonic()
    daemon.request("play", track_id=track_id)
    while time.monotonic() - sent < 5.0:
        heard = np.flatnonzero(np.abs(recording.so_far()[before:]).max(axis=1) > 0)
        if len(heard):
            return float(heard[0]) / recording.sample_rate
        time.sleep(0.02)
    raise AssertionError("nothing was heard")


def test_sound_comes_at_once(pulse: PulseServer, tmp_path: Path) -> None:
    cold, warm = [], []
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        put_track(folder / "lofi.nvim" / "tracks", ONE, music(30.0, seed=1))
        put_track(folder / "lofi.nvim" / "tracks", TWO, music(30.0, seed=2))
        with DaemonProcess(folder, backends={"demo": {}}) as daemon:
            daemon.request("status")
            recording = pulse.listen()
            cold.append(seconds_to_sound(recording, daemon, ONE))
            daemon.request("stop")
            time.sleep(0.5)
            warm.append(seconds_to_sound(recording, daemon, TWO))
            recording.stop()
    print(f"to sound: cold {sorted(cold)}, with the player running {sorted(warm)}")
    # the best of three: what the machine does besides is not measured here
    assert min(cold) <= 0.6, cold
    assert min(warm) <= 0.15, warm
