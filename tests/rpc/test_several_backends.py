"""One daemon, three models: they take turns, each is stopped at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny_musicgen
from tests.daemon_process import DaemonProcess
from tests.tiny_bundle import tiny_bundle


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    environment = {
        "LOFI_ACE_STEP_MODEL_PATH": str(tiny_bundle()),
        "LOFI_MODEL_PATH": str(tiny_musicgen.native_folder()),
        "LOFI_THREADS": "1",
    }
    with DaemonProcess(tmp_path, environment=environment) as daemon:
        yield daemon


def generate(daemon: DaemonProcess, backend: str, seed: int, duration_sec: int = 5) -> str:
    return daemon.request(
        "generate", prompt="rain", duration_sec=duration_sec, seed=seed, backend=backend
    )["track_id"]


def test_models_take_turns(daemon: DaemonProcess) -> None:
    """Asked for all at once and one by one; only the one that ran last stays in memory."""
    waiting = [generate(daemon, name, 1) for name in ("musicgen", "ace_step", "musicgen", "demo")]
    assert waiting[0] == waiting[2]  # the same track
    for round_, name in enumerate(("ace_step", "musicgen", "ace_step", "demo", "musicgen")):
        track_id = generate(daemon, name, 2 + round_)
        final = daemon.final(track_id, 120.0)
        assert final["method"] == "generation_complete", final
        assert final["params"]["backend"] == name
        assert final["params"]["sample_rate"] == (32000 if name == "musicgen" else 48000)
        loaded = [
            each["type"] for each in daemon.request("get_backends")["backends"] if "device" in each
        ]
        assert loaded == [name]
    for track_id in set(waiting):
        assert daemon.final(track_id)["method"] == "generation_complete"


@pytest.mark.parametrize("phase", ["decoding_tokens", "decoding"])
def test_musicgen_is_stopped_at_once(daemon: DaemonProcess, phase: str) -> None:
    track_id = generate(daemon, "musicgen", 9, duration_sec=60)
    daemon.notification("generation_progress", track_id=track_id, phase=phase, timeout=120)
    sent = time.monotonic()
    daemon.request("cancel", track_id=track_id)
    final = daemon.final(track_id)
    assert final["method"] == "generation_cancelled"
    assert daemon.arrival(final) - sent <= 0.250
    # The model itself has stopped, not only the report.
    again = generate(daemon, "musicgen", 10)
    assert daemon.final(again, 5.0)["method"] == "generation_complete"
