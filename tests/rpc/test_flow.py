"""A radio that flows, over the wire, with the bundled model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.signals import find, music, signal_to_error_db

PATIENCE_SEC = 180.0
RATE = 48000
WANTED = {
    "prompts": ["rhodes, drums, 80 bpm", "piano, 95 bpm"],
    "backend": "demo",
    "duration_sec": 8,
    "inference_steps": 2,
    "seed": 4,
    "flow": True,
}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def programme_of(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """The radio's tracks, the first one first."""
    tracks = daemon.request("tracks_list")["tracks"]
    return [track for track in reversed(tracks) if track["prompt"] != "known"]


def two_old_tracks(folder: Path) -> None:
    """With these no filler is made; they are so soft that nothing is found in them."""
    for number in range(2):
        quiet = 0.01 * music(5.0, 48000, number)
        put_track(folder / "lofi.nvim" / "tracks", f"{number}" * 16, quiet)


def test_each_track_goes_on_from_the_one_before_and_is_heard_so(tmp_path: Path) -> None:
    two_old_tracks(tmp_path)
    heard = tmp_path / "heard.wav"
    environment = {"LOFI_AUDIO_DEVICE": f"file:{heard}"}
    with DaemonProcess(tmp_path, environment=environment) as daemon:
        daemon.request("player_set", volume=1.0)
        radio = daemon.request("radio_start", **WANTED, ahead=3)["radio"]
        assert (radio["flow"], radio["ahead"]) == (True, 3)
        assert daemon.request("status")["radio"]["flow"] is True
        daemon.request("stop")  # and three tracks are made before anything of them is heard
        until(lambda: len(programme_of(daemon)) >= 3)
        first, second, third = programme_of(daemon)[:3]
        assert "task" not in first
        assert [each["task"] for each in (second, third)] == ["flow", "flow"]
        assert [each["parent"] for each in (second, third)] == [
            first["track_id"],
            second["track_id"],
        ]
        assert [each["duration_sec"] for each in (second, third)] == [8.0, 8.0]
        assert second["prompt"] == "piano, 95 bpm"
        assert daemon.request("play")["track_id"] == first["track_id"]
        ended = daemon.notification("playback_ended", PATIENCE_SEC, track_id=second["track_id"])
        assert ended["reason"] == "finished"
        sounds = {
            track["track_id"]: soundfile.read(track["path"], dtype="float32")[0]
            for track in (first, second)
        }
    recording, rate = soundfile.read(heard, dtype="float32", always_2d=True)
    left = round(second["span"][0] * RATE)
    evening = np.concatenate([sounds[first["track_id"]][:left], sounds[second["track_id"]]])
    expected = soxr.resample(evening, RATE, rate, "VHQ")
    begin = find(recording, expected[: 4 * rate])
    join = round(second["span"][0] * rate)
    # Its level goes on over the join, and slowly to that of the track.
    for part in (slice(0, join - 100), slice(join - rate, join + rate // 10)):
        found, wanted = recording[begin:][part], expected[part]
        gain = np.float32((found * wanted).sum() / (wanted * wanted).sum())
        assert signal_to_error_db(found / gain, wanted) > 40


def test_the_same_seed_brings_the_same_evening(tmp_path: Path) -> None:
    evenings = []
    for name in ("one", "two"):
        two_old_tracks(tmp_path / name)
        environment = {"LOFI_AUDIO_DEVICE": "null"}
        with DaemonProcess(tmp_path / name, environment=environment) as daemon:
            daemon.request("radio_start", **WANTED)
            until(lambda d=daemon: len(programme_of(d)) >= 2)
            evenings.append([track["track_id"] for track in programme_of(daemon)[:2]])
    assert evenings[0] == evenings[1]


def test_who_cannot_says_who_can(tmp_path: Path) -> None:
    backends = {"demo": {}}
    with DaemonProcess(tmp_path, backends=backends) as daemon:
        error = daemon.error("radio_start", prompts=["rain"], flow=True)
        assert error["data"]["code"] == "INVALID_PARAMS"
        assert "cannot go on from a track" in error["message"]
        assert error["data"]["hint"] == "Leave flow out: no backend here can."
        assert daemon.request("status")["radio"] is None
        error = daemon.error("radio_start", library="all", flow=True)
        assert "flow" in error["message"]
