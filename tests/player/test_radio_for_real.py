"""A radio in real time, heard through a real sound server."""

from __future__ import annotations

import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import psutil
import pytest

from tests.daemon_process import DaemonProcess
from tests.player.pulse import PulseServer

LONGEST_SILENCE_SEC = 0.5


class MemoryWatch:
    """Resident bytes of a process and its children, looked at ten times a second.

    A track's decoding, where most is resident, takes less than a second: a slower look would see
    it by chance.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.resident: list[int] = []

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        family = [self._process, *self._process.children(recursive=True)]
        while not self._stopped.wait(0.1):
            self.resident.append(sum(one.memory_info().rss for one in family))

    def growth(self, measure: Callable[[list[int]], float]) -> tuple[float, float]:
        """From the second quarter, when all has settled, to the last; and where it began."""
        quarter = len(self.resident) // 4
        settled = measure(self.resident[quarter : 2 * quarter])
        return measure(self.resident[-quarter:]) / settled - 1, settled


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
        with MemoryWatch(daemon.process.pid) as memory:
            while time.monotonic() - started < 60 * minutes:
                time.sleep(2.0)
                status = daemon.request("status")
                most_bytes = max(most_bytes, status["cache"]["bytes"])
        tracks = [message["params"] for message in daemon.notifications("playback_started")]
        underruns = daemon.notifications("playback_ended", reason="error")
        recording.stop()
    silence = longest_silence_sec(recording.path, recording.sample_rate)
    growth, standing = memory.growth(statistics.median)
    peak_growth, peak = memory.growth(max)
    waited = len(daemon.notifications("radio_waiting"))
    print(
        f"{minutes:g} min of radio: {len(tracks)} tracks, longest silence {silence * 1000:.0f} ms, "
        f"memory {growth:+.1%} from {standing / 2**20:.0f} MiB and at its peaks {peak_growth:+.1%} "
        f"from {peak / 2**20:.0f} MiB, replays announced {waited}, "
        f"cache at most {most_bytes / 1e6:.1f} MB of 60"
    )
    ids = [track["track_id"] for track in tracks]
    assert all(one != other for one, other in itertools.pairwise(ids))
    assert not underruns
    assert silence <= LONGEST_SILENCE_SEC
    assert growth <= 0.05
    assert peak_growth <= 0.05
    assert most_bytes <= 60_000_000
