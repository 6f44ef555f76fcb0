"""How honest percent is: the daemon itself, tracks of 5, 60 and 240 s with 5 and 60 steps.

    python -m benchmarks.progress [backend]

Prints for each job where a claim was furthest from elapsed ÷ total, both from its request on. The
first round starts with an empty memory of timings, the second with what the first has taught.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.daemon_process import DaemonProcess

PATIENCE_SEC = 3600.0


def worst_claim(daemon: DaemonProcess, backend: str, duration_sec: int, steps: int) -> str:
    """Make a track; the line that tells of it."""
    began = time.monotonic()
    track_id = daemon.request(
        "generate",
        prompt="rainy night, rhodes",
        duration_sec=duration_sec,
        inference_steps=steps,
        backend=backend,
    )["track_id"]
    total = daemon.arrival(daemon.final(track_id, PATIENCE_SEC)) - began
    claims = [
        (100.0 * (daemon.arrival(message) - began) / total, message["params"])
        for message in daemon.notifications("generation_progress", track_id=track_id)
    ]
    truth, claim = max(claims, key=lambda each: abs(each[0] - each[1]["percent"]))
    return (
        f"{duration_sec:4d} s {steps:3d} steps: {total:7.1f} s, worst of {len(claims):4d} claims: "
        f"{claim['percent']:2d} % at {truth:4.1f} % ({claim['phase']})"
    )


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "demo"
    configured = {name: value for name, value in os.environ.items() if name.startswith("LOFI_")}
    environment = configured | {"LOFI_CACHE_MAX_MB": "1000"}
    with tempfile.TemporaryDirectory() as folder:
        for title in ("nothing learnt", "learnt"):
            print(f"{backend}, {title}")
            with DaemonProcess(Path(folder), environment=environment) as daemon:
                daemon.request("ping")  # it is up
                for duration_sec, steps in itertools.product((5, 60, 240), (5, 60)):
                    print(worst_claim(daemon, backend, duration_sec, steps), flush=True)


if __name__ == "__main__":
    main()
