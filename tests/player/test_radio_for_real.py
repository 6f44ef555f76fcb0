"""A radio in real time, heard through a real sound server."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.daemon_process import DaemonProcess
from tests.player.pulse import PulseServer

LONGEST_SILENCE_SEC = 0.5


def memory(daemon: DaemonProcess) -> int:
    """Resident bytes of the daemon and its player."""
    process = psutil.Process(daemon.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def longest_silence_sec(path: Path, sample_rate: int) -> float:
    """After the first sound; a recording of float32 [frames, 2], read in pieces."""
    longest = current = 0
    sounded = False
    recording = np.memmap(path, np.float32, "r")
    frames = recording[: len(recording) // 2 * 2].reshape(-1, 2)
    for start in range(0, len(frames), sample_rate):
        loud = np.abs(frames[start : start + sample_rate]).max(axis=1) > 1e-5
        for block in np.array_split(loud, 100):
            if block.any():
                sounded, current = True, 0
            elif sounded:
                current += len(block)
                longest = max(longest, current)
    return longest / sample_rate


@pytest.mark.soak
def test_an_hour_of_radio_with_the_bundled_model(pulse: PulseServer, tmp_path: Path) -> None:
    minutes = float(os.environ.get("LOFI_SOAK_MINUTES", "60"))
    with DaemonProcess(tmp_path, environment={"LOFI_CACHE_MAX_MB": "60"}) as daemon:
        recording = pulse.listen()
        daemon.request("radio_start", preset="rainy night", backend="demo", duration_sec=30, seed=1)
        daemon.notification("playback_started", timeout=600)
        started = time.monotonic()
        most_bytes = 0
        resident: list[int] = []
        while time.monotonic() - started < 60 * minutes:
            time.sleep(2.0)
            status = daemon.request("status")
            most_bytes = max(most_bytes, status["cache"]["bytes"])
            resident.append(memory(daemon))
        # a generation goes through phases of different size: compare the highest points
        quarter = len(resident) // 4
        settled, last = max(resident[quarter : 2 * quarter]), max(resident[-quarter:])
        grown = last / settled - 1
        tracks = [message["params"] for message in daemon.notifications("playback_started")]
        underruns = daemon.notifications("playback_ended", reason="error")
        recording.stop()
    silence = longest_silence_sec(recording.path, recording.sample_rate)
    waited = len(daemon.notifications("radio_waiting"))
    print(
        f"{minutes:g} min of radio: {len(tracks)} tracks, longest silence {silence * 1000:.0f} ms, "
        f"memory {100 * grown:+.1f} % from {settled / 2**20:.0f} MiB, replays announced {waited}, "
        f"cache at most {most_bytes / 1e6:.1f} MB of 60"
    )
    ids = [track["track_id"] for track in tracks]
    assert all(one != other for one, other in itertools.pairwise(ids))
    assert not underruns
    assert silence <= LONGEST_SILENCE_SEC
    assert grown <= 0.05
    assert most_bytes <= 60_000_000
