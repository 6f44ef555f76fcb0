"""How long the daemon is silent: it is asked for a hundred tracks, a radio of a thousand, refusals.

    python -m benchmarks.event_loop

The daemon runs with a MusicGen of the right shape and no size, so that choosing a backend looks at
a real folder. Model and player are loaded before. It is pinged all the while; what is printed is
the longest time between a ping and its answer, the longest turn of its event loop on the wall and
of the processor, what the latter did, and the files that were opened a request.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from lofi_daemon.config import load_settings
from lofi_daemon.rpc.server import serve
from tests import tiny_musicgen
from tests.daemon_process import DaemonProcess

REQUESTS = 100
PROMPTS = 1000
PING_EVERY_SEC = 0.002
TURNS = "TURNS"
NUMBERS = itertools.count()


def served() -> None:
    """The daemon itself, its turns measured; what it found goes to the file TURNS names."""
    longest: dict[str, Any] = {"wall_ms": 0.0, "processor_ms": 0.0, "opened": 0, "did": ""}
    loop_thread = threading.get_ident()

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and threading.get_ident() == loop_thread:
            longest["opened"] += 1

    sys.addaudithook(heard)
    run = asyncio.Handle._run  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]

    def measured(handle: asyncio.Handle) -> None:
        wall, processor = time.perf_counter(), time.thread_time()
        run(handle)
        longest["wall_ms"] = max(longest["wall_ms"], 1e3 * (time.perf_counter() - wall))
        used_ms = 1e3 * (time.thread_time() - processor)
        if used_ms > longest["processor_ms"]:
            longest.update(processor_ms=used_ms, did=repr(handle)[:160])

    def watch() -> None:
        place = Path(os.environ[TURNS])
        while True:
            if (place / "ask").exists():
                (place / "ask").unlink()
                (place / "new").write_text(json.dumps(longest))
                (place / "new").rename(place / "told")
                longest.update(wall_ms=0.0, processor_ms=0.0, opened=0, did="")
            time.sleep(0.005)

    asyncio.Handle._run = measured  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    threading.Thread(target=watch, daemon=True).start()
    serve(load_settings(os.environ))


class Pinger:
    """Pings until it is stopped; the longest wait for an answer in seconds."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self._sent: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(PING_EVERY_SEC):
            name = f"ping-{next(NUMBERS)}"
            self._sent[name] = time.monotonic()
            self._daemon.send({"jsonrpc": "2.0", "id": name, "method": "ping"})

    def longest(self) -> float:
        self._stopped.set()
        self._thread.join()
        return max(
            self._daemon.arrival(self._daemon.answer(name)) - sent
            for name, sent in self._sent.items()
        )


def turns(place: Path) -> dict[str, Any]:
    """The longest turns since the last question."""
    (place / "ask").touch()
    while not (place / "told").exists():
        time.sleep(0.005)
    told = json.loads((place / "told").read_text())
    (place / "told").unlink()
    return told


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        environment = {
            "LOFI_MODEL_PATH": str(tiny_musicgen.published_folder()),
            "LOFI_AUDIO_DEVICE": "null",
            TURNS: folder,
        }
        command = [sys.executable, "-m", "benchmarks.event_loop", "served"]
        with DaemonProcess(place / "home", command=command, environment=environment) as daemon:
            daemon.request("ping")
            turns(place)
            pinger = Pinger(daemon)
            daemon.request("get_backends")
            tell("get_backends, the first question", pinger.longest(), turns(place), 1)
            track = daemon.request("generate", prompt="first", duration_sec=5)["track_id"]
            daemon.final(track)  # onnxruntime is loaded
            daemon.request("audio_devices")  # the player runs
            turns(place)
            pinger = Pinger(daemon)
            for number in range(REQUESTS):
                daemon.answer(daemon.call("generate", prompt=f"rain {number}", duration_sec=5))
            tell("generate", pinger.longest(), turns(place), REQUESTS)
            daemon.request("queue_clear")
            prompts = [f"rain number {number}" for number in range(PROMPTS)]
            turns(place)
            pinger = Pinger(daemon)
            daemon.request("radio_start", prompts=prompts, order="shuffle", duration_sec=5)
            tell("radio_start", pinger.longest(), turns(place), 1)
            for what in ("status", "tracks_list", "get_backends"):
                pinger = Pinger(daemon)
                daemon.request(what)
                tell(f"{what} after it", pinger.longest(), turns(place), 1)
            pinger = Pinger(daemon)
            daemon.error("generate", **{f"unknown_{number}": 1 for number in range(10 * PROMPTS)})
            daemon.error("play_files", files=["nowhere"] * 10 * PROMPTS)
            tell("refusals", pinger.longest(), turns(place), 2)


def tell(what: str, ping: float, found: dict[str, Any], requests: int) -> None:
    print(
        f"{what}: longest ping {1e3 * ping:.1f} ms; longest turn {found['wall_ms']:.1f} ms, of the "
        f"processor {found['processor_ms']:.1f} ms ({found['did']}); "
        f"{found['opened'] / requests:.1f} files opened"
    )


if __name__ == "__main__":
    served() if sys.argv[1:] == ["served"] else main()
