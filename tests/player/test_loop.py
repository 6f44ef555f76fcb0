"""A track that leads into itself, repeated by the daemon and its player."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.player.device import SIMULATED_RATE
from tests.daemon_process import DaemonProcess
from tests.player.library import put_track
from tests.player.signals import find, music, signal_to_error_db

ONE = "1" * 16


@pytest.mark.parametrize("leads_into_itself", [True, False])
def test_a_loop_is_heard_again_sample_by_sample(tmp_path: Path, leads_into_itself: bool) -> None:
    sound = music(3.0, SIMULATED_RATE)
    options = {"loop": True} if leads_into_itself else {}
    put_track(tmp_path / "lofi.nvim" / "tracks", ONE, sound, sample_rate=SIMULATED_RATE, **options)
    heard = tmp_path / "heard.wav"
    environment = {"LOFI_AUDIO_DEVICE": f"file:{heard}"}
    with DaemonProcess(tmp_path, backends={"demo": {}}, environment=environment) as daemon:
        daemon.request("player_set", volume=1.0, loop="track", crossfade_sec=0.5)
        daemon.request("play", track_id=ONE)
        # the turn after the second one has begun: the seam between the first two lies well behind
        until(lambda: len(daemon.notifications("playback_started", track_id=ONE)) > 2)
    recording, _ = soundfile.read(heard, dtype="float32", always_2d=True)
    around = np.concatenate([sound[-SIMULATED_RATE:], sound[:SIMULATED_RATE]])
    begin = find(recording, around)
    found = recording[begin : begin + len(around)]
    assert bool(signal_to_error_db(found, around) > 80) == leads_into_itself


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it was not repeated"
        time.sleep(0.05)
