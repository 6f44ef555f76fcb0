"""A track that is heard while it is made, when the daemon or the player is killed meanwhile."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.daemon_process import PATIENCE_SEC, DaemonProcess

PIECES = 6
GROWING = {"demo": {"pieces": PIECES, "seconds": {"decoding": 3.6, "diffusing": 0.01}}}
NULL = {"LOFI_AUDIO_DEVICE": "null"}
SECONDS = 12
PIECE_BYTES = SECONDS * 48000 * 4 // PIECES


def grown(daemon: DaemonProcess, pieces: int) -> None:
    """Wait until that many pieces can be heard, but for the little that is kept back."""
    deadline = time.monotonic() + PATIENCE_SEC
    while time.monotonic() < deadline:
        for file in daemon.tracks_folder.glob(".*.partial"):
            if file.stat().st_size >= (pieces - 0.2) * PIECE_BYTES:
                return
        time.sleep(0.005)
    raise AssertionError(f"there are no {pieces} pieces")


def partials(daemon: DaemonProcess) -> list[Path]:
    return list(daemon.tracks_folder.glob(".*.partial"))


@pytest.mark.parametrize("piece", range(PIECES))
def test_a_daemon_killed_at_any_piece_leaves_nothing_that_looks_whole(
    tmp_path: Path, piece: int
) -> None:
    """The next one sweeps what is left, makes the same track and plays it."""
    asked = {"prompt": "rain", "seed": 1, "duration_sec": SECONDS, "play": "early"}
    daemon = DaemonProcess(tmp_path, backends=GROWING, environment=NULL)
    track_id = daemon.request("generate", **asked)["track_id"]
    grown(daemon, piece)
    daemon.kill()
    assert not daemon.notifications("generation_complete")
    left = {path.name for path in daemon.tracks_folder.iterdir()} - {".lock"}
    assert all(name.endswith(".partial") for name in left)
    assert partials(daemon), "the test kills while there is something to leave"
    with DaemonProcess(tmp_path, backends=GROWING, environment=NULL) as again:
        assert again.request("tracks_list")["total"] == 0
        deadline = time.monotonic() + PATIENCE_SEC
        while partials(again):
            assert time.monotonic() < deadline, "what was left is still there"
            time.sleep(0.01)
        assert again.request("generate", **asked)["track_id"] == track_id
        started = again.notification("playback_started", track_id=track_id)
        assert started["complete"] is False
        assert again.final(track_id)["method"] == "generation_complete"
        assert again.request("tracks_list")["total"] == 1
        assert again.request("status")["player"]["track_id"] == track_id


@pytest.mark.parametrize("piece", range(1, PIECES + 1))
def test_a_player_killed_at_any_piece_plays_on_at_its_position(tmp_path: Path, piece: int) -> None:
    with DaemonProcess(tmp_path, backends=GROWING, environment=NULL) as daemon:
        track_id = daemon.request(
            "generate", prompt="rain", seed=1, duration_sec=SECONDS, play="early"
        )["track_id"]
        daemon.notification("playback_started", track_id=track_id)
        grown(daemon, max(piece, 2))
        before = daemon.request("status")["player"]["position_sec"]
        (player,) = (
            process
            for process in psutil.Process(daemon.process.pid).children(recursive=True)
            if "lofi_daemon.player" in process.cmdline()
        )
        killed_at = time.monotonic()
        player.send_signal(signal.SIGKILL)
        daemon.wait_for(
            lambda _: len(daemon.notifications("playback_started", track_id=track_id)) == 2
        )
        took = time.monotonic() - killed_at
        again = daemon.notifications("playback_started", track_id=track_id)[1]["params"]
        # it is known to half a second where the player was
        assert before - 0.6 <= again["position_sec"] <= before + took + 0.1
        assert daemon.final(track_id)["method"] == "generation_complete"
        daemon.request("player_set", position_sec=SECONDS - 1.0)
        ended = daemon.notification("playback_ended", track_id=track_id)
        assert ended == {"track_id": track_id, "reason": "finished"}


def test_the_radio_goes_on_in_another_daemon_when_what_plays_is_never_finished(
    tmp_path: Path,
) -> None:
    slow = {"demo": {"pieces": PIECES, "seconds": {"decoding": 6.0}}}
    environment = {**NULL, "XDG_RUNTIME_DIR": str(tmp_path)}
    one = DaemonProcess(tmp_path, backends=slow, environment=environment)
    one.request("ping")
    with DaemonProcess(tmp_path, backends=slow, environment=environment) as two:
        one.request("radio_start", prompts=["rain", "snow"], duration_sec=SECONDS, seed=4)
        lost = two.notification("playback_started", complete=False)["track_id"]
        one.kill()
        two.wait_for(lambda _: len(two.notifications("playback_started")) > 1)
        deadline = time.monotonic() + PATIENCE_SEC
        while two.request("status")["player"]["state"] != "playing":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert two.request("status")["radio"]["prompts"] == ["rain", "snow"]
        assert not two.notifications("playback_ended", reason="error")
        assert lost


def test_a_radio_of_which_nothing_was_heard_yet_is_heard_in_another_daemon(
    tmp_path: Path,
) -> None:
    slow = {"demo": {"seconds": {"decoding": 3.0}}}
    environment = {**NULL, "XDG_RUNTIME_DIR": str(tmp_path)}
    one = DaemonProcess(tmp_path, backends=slow, environment=environment)
    one.request("ping")
    with DaemonProcess(tmp_path, backends=slow, environment=environment) as two:
        two.request("ping")
        one.request("radio_start", prompts=["rain", "snow"], duration_sec=SECONDS, seed=4)
        deadline = time.monotonic() + PATIENCE_SEC
        while two.request("status")["radio"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not two.notifications("playback_started")
        one.kill()
        two.notification("playback_started")
