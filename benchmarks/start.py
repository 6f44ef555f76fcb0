"""How soon a daemon answers its first ping.

    python -m benchmarks.start [starts]

From the start of the process to the answer, on the wall and of the processor: the median and the
least of these starts (9), as they are, and with LOFI_REMOTE leading to a machine that says nothing.
The first of all, which may still have to compile the package, does not count.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks.measuring import processor_name
from tests.daemon_process import DaemonProcess

STARTS = 9
WAYS: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "the other machine away": {"LOFI_REMOTE": "sleep 600"},
}


def started(folder: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    began = time.monotonic()
    with DaemonProcess(folder, environment=environment) as daemon:
        daemon.request("ping")
        wall = time.monotonic() - began
        times = psutil.Process(daemon.process.pid).cpu_times()
        return wall, times.user + times.system


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else STARTS
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(
        f"{starts} starts, {os.cpu_count()} cores, {processor_name()}, "
        f"load {os.getloadavg()[0]:.1f}; wall, processor in seconds"
    )
    with tempfile.TemporaryDirectory() as name:
        started(Path(name), {})
        for way, environment in WAYS.items():
            taken = [started(Path(name), environment) for _ in range(starts)]
            for what, of in (("median", statistics.median), ("least", min)):
                wall, processor = (of(each) for each in zip(*taken, strict=True))
                print(f"{way + ', ' + what:32} {wall:6.3f} {processor:6.3f}", flush=True)


if __name__ == "__main__":
    main()
