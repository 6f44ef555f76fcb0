"""A track that goes on from another one, heard through the daemon and its player."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from lofi_daemon.player.device import SIMULATED_RATE
from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.signals import Signal, find, music, signal_to_error_db

ONE, TWO = "1" * 16, "2" * 16
LEFT_SEC = 2.5


class Evening:
    """Two tracks, the second of which goes on from the first, and a recording of what is heard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracks = folder / "lofi.nvim" / "tracks"
        self.first = music(4.0, SIMULATED_RATE, seed=1)
        self.second = music(3.0, SIMULATED_RATE, seed=2)
        put_track(tracks, ONE, self.first, sample_rate=SIMULATED_RATE)
        span = (LEFT_SEC, LEFT_SEC + 3.0)
        flow = {"task": "flow", "source": ONE, "source_sha256": "0" * 64, "span": span}
        put_track(tracks, TWO, self.second, sample_rate=SIMULATED_RATE, **flow)

    def heard(self, play: Callable[[DaemonProcess], None]) -> Signal:
        file = self.folder / "heard.wav"
        environment = {"LOFI_AUDIO_DEVICE": f"file:{file}"}
        with DaemonProcess(self.folder, backends={"demo": {}}, environment=environment) as daemon:
            daemon.request("player_set", volume=1.0, crossfade_sec=0.5)
            play(daemon)
            until(lambda: bool(daemon.notifications("playback_ended", track_id=TWO)))
        return soundfile.read(file, dtype="float32", always_2d=True)[0]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it was not heard"
        time.sleep(0.05)


def likeness_db(recording: Signal, expected: Signal) -> float:
    begin = find(recording, expected)
    return signal_to_error_db(recording[begin : begin + len(expected)], expected)


def test_a_track_that_goes_on_follows_sample_by_sample(tmp_path: Path) -> None:
    evening = Evening(tmp_path)

    def play(daemon: DaemonProcess) -> None:
        daemon.request("playlist_add", track_ids=[TWO])
        daemon.request("play", track_id=ONE)
        assert daemon.notification("playback_ended", track_id=ONE)["reason"] == "finished"

    left = round(LEFT_SEC * SIMULATED_RATE)
    around = np.concatenate([evening.first[left - SIMULATED_RATE : left], evening.second])
    assert likeness_db(evening.heard(play), around) > 80


def test_after_a_skip_it_crosses_over_as_any_other(tmp_path: Path) -> None:
    evening = Evening(tmp_path)

    def play(daemon: DaemonProcess) -> None:
        daemon.request("playlist_add", track_ids=[TWO])
        daemon.request("play", track_id=ONE)
        daemon.notification("playback_started", track_id=ONE)
        assert daemon.request("skip")["track_id"] == TWO
        assert daemon.notification("playback_ended", track_id=ONE)["reason"] == "skipped"

    # beyond the cross-over it is itself, and the join is not waited for
    assert likeness_db(evening.heard(play), evening.second[SIMULATED_RATE:]) > 80


def test_what_was_lined_up_behind_another_track_joins_the_one_it_goes_on_from(
    tmp_path: Path,
) -> None:
    evening = Evening(tmp_path)
    other = "3" * 16
    put_track(
        tmp_path / "lofi.nvim" / "tracks",
        other,
        music(20.0, SIMULATED_RATE, seed=3),
        sample_rate=SIMULATED_RATE,
    )

    def play(daemon: DaemonProcess) -> None:
        daemon.request("playlist_add", track_ids=[TWO])
        daemon.request("play", track_id=other)
        daemon.notification("playback_started", track_id=other)
        daemon.request("play", track_id=ONE)

    left = round(LEFT_SEC * SIMULATED_RATE)
    around = np.concatenate([evening.first[left - SIMULATED_RATE : left], evening.second])
    assert likeness_db(evening.heard(play), around) > 80
