"""Two editors on one cache hear one music."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess

TONES = {"demo": {}}


@pytest.fixture
def runtime() -> Generator[Path, None, None]:
    """A runtime folder with a short name, as systems have it."""
    folder = Path(tempfile.mkdtemp(prefix="lofi-run-"))
    yield folder
    shutil.rmtree(folder)


def editor(tmp_path: Path, runtime: Path) -> DaemonProcess:
    environment = {"LOFI_AUDIO_DEVICE": "null", "XDG_RUNTIME_DIR": str(runtime)}
    return DaemonProcess(tmp_path, backends=TONES, environment=environment)


def test_two_editors_hear_one_music_and_either_can_pause_it(tmp_path: Path, runtime: Path) -> None:
    with editor(tmp_path, runtime) as one, editor(tmp_path, runtime) as two:
        one.request("ping")
        track, other = two.made("one", "two", duration_sec=60.0)
        assert two.request("play", track_id=track)["track_id"] == track
        for each in (one, two):
            each.notification("playback_started", track_id=track)
            assert each.request("status")["player"]["state"] == "playing"
        assert one.request("pause")["state"] == "paused"
        two.notification("playback_paused", track_id=track)
        assert two.request("status")["player"]["state"] == "paused"
        assert two.request("resume")["state"] == "playing"
        one.notification("playback_resumed", track_id=track)
        assert one.request("play", track_id=other)["track_id"] == other
        two.notification("playback_ended", track_id=track)
        for each in (one, two):
            error = each.error("tracks_delete", track_ids=[other])
            assert "playing" in error["message"]
        assert two.error("play", track_id="0" * 16)["data"]["code"] == "TRACK_NOT_FOUND"
        assert sorted(path.stat().st_mode & 0o777 for path in runtime.iterdir()) == [0o700]
        sockets = list((runtime / "lofi.nvim").iterdir())
        assert {path.stat().st_mode & 0o777 for path in sockets} == {0o600}


@pytest.mark.parametrize("end", ["close", "kill"])
def test_the_music_goes_on_when_the_editor_that_plays_it_ends(
    tmp_path: Path, runtime: Path, end: str
) -> None:
    one = editor(tmp_path, runtime)
    one.request("ping")
    with editor(tmp_path, runtime) as two:
        track, other = two.made("one", "two", duration_sec=120.0)
        one.request("playlist_add", track_ids=[track, other])
        two.request("play")
        two.request("player_set", position_sec=50.0, volume=0.3)
        getattr(one, end)()
        two.wait_for(
            lambda message: (
                message.get("method") == "playback_started"
                and message["params"]["position_sec"] >= 50.0
            )
        )
        state = two.request("status")
        assert state["player"]["track_id"] == track
        assert (state["player"]["state"], state["player"]["volume"]) == ("playing", 0.3)
        assert state["playlist"] == [track, other]
        assert two.request("skip")["track_id"] == other
