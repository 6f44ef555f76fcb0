"""Music while a model computes on every core: nothing of it is heard."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.pulse import PulseServer
from tests.player.signals import Signal, find, music, silences
from tests.slow_model import slowed_bundle
from tests.tiny_bundle import tiny_bundle

TRACK = "1" * 16
REAL_WIDTH = 2560


@dataclass(frozen=True)
class Heard:
    """wrong_frames: frames of the recording that are not the track's (all of them behind a gap);
    gaps: stretches of silence; pings in seconds."""

    seconds: float
    wrong_frames: int
    gaps: int
    pings: list[float]
    tracks_made: int
    busy: float

    @property
    def ping_p99(self) -> float:
        return sorted(self.pings)[int(len(self.pings) * 0.99)]

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s heard, {self.wrong_frames} wrong frames, {self.gaps} gaps, "
            f"ping p99 {self.ping_p99 * 1000:.1f} ms, generating {100 * self.busy:.0f} %"
        )


def listen_while_generating(
    server: PulseServer, folder: Path, bundle: Path, *, seconds: float, steps: int
) -> Heard:
    """Play a known track over and over, gapless, while the daemon generates one after the other."""
    sound = music(20.0)
    put_track(folder / "lofi.nvim" / "tracks", TRACK, sound)
    environment = {
        "LOFI_ACE_STEP_MODEL_PATH": str(bundle),
        "LOFI_BACKEND": "ace_step",
        "LOFI_THREADS": str(os.cpu_count()),
    }
    pings: list[float] = []
    busy = 0
    with DaemonProcess(folder, environment=environment) as daemon:
        daemon.request("player_set", volume=1.0, crossfade_sec=0, loop="track")
        recording = server.listen()
        daemon.request("play", track_id=TRACK)
        end, seed = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            queue = daemon.request("status")["queue"]
            busy += queue["current"] is not None
            if not queue["waiting"]:
                seed += 1
                daemon.request(
                    "generate", prompt="load", seed=seed, duration_sec=60, inference_steps=steps
                )
            for _ in range(10):
                sent = time.monotonic()
                daemon.request("ping")
                pings.append(time.monotonic() - sent)
                time.sleep(0.04)
        made = len(daemon.notifications("generation_complete"))
        # silence at the end of the recording would not be a dropout
        heard = recording.stop()
    start = find(heard[: 3 * len(sound)], sound)
    gaps = len(silences(heard[start:], server.sample_rate, longer_than_sec=0.0005))
    return Heard(
        seconds, wrong_frames(heard, sound), gaps, pings, made, busy / max(1, len(pings) // 10)
    )


def wrong_frames(heard: Signal, sound: Signal) -> int:
    """How many frames differ from the track played in a loop, from its beginning to the end."""
    start = find(heard[: 3 * len(sound)], sound)
    played = heard[start:]
    expected = np.resize(sound, (len(played), 2))
    return int((np.abs(played - expected).max(axis=1) > 1e-4).sum())


def test_a_dropout_would_be_noticed() -> None:
    sound = music(2.0)
    looped = np.concatenate([np.zeros((999, 2), np.float32), sound, sound, sound])
    assert wrong_frames(looped, sound) == 0
    looped[150_000:150_010] = 0.0
    assert 5 <= wrong_frames(looped, sound) <= 10
    assert wrong_frames(np.delete(looped, 120_000, axis=0), sound) > 10_000


def test_a_model_on_every_core_is_not_heard(pulse: PulseServer, tmp_path: Path) -> None:
    heard = listen_while_generating(pulse, tmp_path, tiny_bundle(), seconds=15, steps=60)
    print(heard)
    assert heard.busy > 0.5
    assert heard.wrong_frames == 0


@pytest.mark.soak
@pytest.mark.parametrize("size", ["tiny", "real"])
def test_ten_minutes_of_generating_are_not_heard(
    pulse: PulseServer, tmp_path: Path, size: str
) -> None:
    bundle = tiny_bundle()
    if size == "real":
        bundle = slowed_bundle(bundle, tmp_path / "real", multiplications=40, width=REAL_WIDTH)
    seconds = 60 * float(os.environ.get("LOFI_SOAK_MINUTES", "10"))
    heard = listen_while_generating(pulse, tmp_path, bundle, seconds=seconds, steps=60)
    print(f"{size}: {heard}")
    assert heard.busy > 0.8
    assert heard.wrong_frames == 0
    assert heard.ping_p99 <= 0.020
