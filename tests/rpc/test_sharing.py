"""Two editors on one cache hear one music."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lofi_daemon.rpc.meeting import Follower
from tests.daemon_process import PATIENCE_SEC, DaemonProcess

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


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_music_that_is_paused_stays_paused_and_knows_its_past(
    tmp_path: Path, runtime: Path, end: str
) -> None:
    one = editor(tmp_path, runtime)
    one.request("ping")
    with editor(tmp_path, runtime) as two:
        first, second, third = two.made("one", "two", "three", duration_sec=60.0)
        for track in (first, second, third):
            one.request("play", track_id=track)
            one.notification("playback_started", track_id=track)
        one.request("player_set", position_sec=25.0, muted=True, stops_in_sec=3000.0)
        one.request("pause")
        two.notification("playback_paused", track_id=third)
        one.request("player_set", volume=0.25)
        settle(two, volume=0.25, position_sec=pytest.approx(25.0, abs=2.0))
        getattr(one, end)()
        state = two.request("status")["player"]
        assert (state["state"], state["track_id"], state["muted"]) == ("paused", third, True)
        assert state["volume"] == 0.25
        assert state["position_sec"] == pytest.approx(25.0, abs=2.0)
        time.sleep(0.3)  # for whatever would make it sound again
        assert two.request("status")["player"]["state"] == "paused"
        two.request("player_set", position_sec=0.0)
        two.request("previous")
        assert two.request("status")["player"]["track_id"] == second
        two.request("previous")
        assert two.request("status")["player"]["track_id"] == first


def test_a_radio_that_is_handed_over_does_not_try_again_what_cannot_be_played(
    tmp_path: Path, runtime: Path
) -> None:
    one = editor(tmp_path, runtime)
    one.request("ping")
    with editor(tmp_path, runtime) as two:
        broken, *whole = two.made("broken", "two", "three", duration_sec=30.0)
        (two.tracks_folder / f"{broken}.wav").write_bytes(
            b"\0" * (two.tracks_folder / f"{broken}.wav").stat().st_size
        )
        one.request("radio_start", library="all")
        one.notification("playback_started")
        one.notification("playback_ended", track_id=broken, reason="error")
        assert two.request("status")["radio"]["library"] == "all"
        two.notification("playback_ended", track_id=broken, reason="error")
        one.close()
        for _ in range(4):
            playing = two.request("status")["player"]["track_id"]
            assert playing in whole
            two.request("skip")
            two.wait_for(
                lambda message, playing=playing: (
                    message.get("method") == "playback_started"
                    and message["params"]["track_id"] != playing
                )
            )
        told = two.notifications("playback_ended", track_id=broken)
        assert len(told) == 1


@pytest.mark.parametrize("end", ["whole", "cancelled", "killed"])
def test_a_follower_hears_what_it_makes_while_it_is_made(
    tmp_path: Path, runtime: Path, end: str
) -> None:
    """The daemon that plays reads the file that grows in the other."""
    growing = {"demo": {"pieces": 6, "seconds": {"decoding": 3.0}}}
    environment = {"LOFI_AUDIO_DEVICE": "null", "XDG_RUNTIME_DIR": str(runtime)}
    with editor(tmp_path, runtime) as one:
        one.request("ping")
        two = DaemonProcess(tmp_path, backends=growing, environment=environment)
        track = two.request("generate", prompt="rain", duration_sec=12, play="early")["track_id"]
        for each in (one, two):
            started = each.notification("playback_started", track_id=track)
            assert started["complete"] is False
        assert not two.notifications("generation_complete")
        assert one.request("status")["player"]["track_id"] == track
        if end == "whole":
            assert one.request("tracks_keep", track_ids=[track], kept=True)
            assert two.final(track)["method"] == "generation_complete"
            two.close()
            one.request("player_set", position_sec=11.0)
            ended = one.notification("playback_ended", track_id=track)
            assert ended == {"track_id": track, "reason": "finished"}
            (listed,) = one.request("tracks_list")["tracks"]
            assert (listed["kept"], listed["last_played_at"] is not None) == (True, True)
            assert one.request("play", track_id=track)["track_id"] == track
            return
        if end == "cancelled":
            two.request("cancel", track_id=track)
        else:
            two.kill()
        ended = one.notification("playback_ended", track_id=track)
        assert ended == {"track_id": track, "reason": "cancelled"}
        assert one.request("status")["player"]["state"] == "stopped"
        two.close()


def test_only_daemons_ask_each_other_for_tracks_that_grow(tmp_path: Path, runtime: Path) -> None:
    with editor(tmp_path, runtime) as one:
        assert one.error("play_growing", path="/etc/passwd")["data"]["code"] == "METHOD_NOT_FOUND"


def settle(daemon: DaemonProcess, **wanted: Any) -> None:
    """Wait until the player's state has all this."""
    deadline = time.monotonic() + PATIENCE_SEC
    while True:
        state = daemon.request("status")["player"]
        if all(state[name] == value for name, value in wanted.items()):
            return
        assert time.monotonic() < deadline, (state, wanted)
        time.sleep(0.02)


NO_MESSAGES = [
    b"",
    b"no json",
    b"[" * 3000,
    b'"text"',
    b"[1]",
    b"{}",
    b'{"id": "one"}',
    b'{"id": 1, "method": 2, "params": []}',
    b'{"id": 1, "error": "bad"}',
    b'{"method": "music", "params": {"state": "asleep"}}',
    b'{"method": "playback_volume", "params": {"volume": NaN}}',
]


def test_a_leader_lives_with_what_it_does_not_understand(tmp_path: Path, runtime: Path) -> None:
    with editor(tmp_path, runtime) as daemon:
        daemon.request("ping")
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PATIENCE_SEC)
            link.connect(str(next((runtime / "lofi.nvim").glob("*.sock"))))
            for line in NO_MESSAGES:
                link.sendall(line + b"\n")
            link.sendall(b'{"id": 5, "method": "no_such", "params": {}}\n')
            link.sendall(b'{"id": 6, "method": "pause", "params": {}}\n')
            answered: set[int] = set()
            for line in link.makefile("rb"):
                message = json.loads(line)
                if "id" in message:
                    answered.add(message["id"])
                if {5, 6} <= answered:
                    break
        daemon.made("one", duration_sec=5.0)


def test_a_follower_lives_with_a_leader_of_another_version(tmp_path: Path, runtime: Path) -> None:
    with editor(tmp_path, runtime) as daemon:
        daemon.request("ping")
        place = next((runtime / "lofi.nvim").glob("*.sock"))
    with socket.socket(socket.AF_UNIX) as listener, place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listener.bind(str(place))
        listener.listen()
        listener.settimeout(PATIENCE_SEC)
        with editor(tmp_path, runtime) as daemon:
            asked = daemon.call("ping")
            link, _ = listener.accept()
            for line in NO_MESSAGES:
                link.sendall(line + b"\n")
            assert "result" in daemon.answer(asked)
            told = {"jsonrpc": "2.0", "method": "playback_volume", "params": {"volume": 0.5}}
            link.sendall(json.dumps(told).encode() + b"\n")
            assert daemon.notification("playback_volume") == {"volume": 0.5}
            assert all("jsonrpc" in message for message in daemon.messages)
            link.close()
            listener.close()
            lock.close()
            # Nobody leads any more, so that the music plays here.
            track = daemon.made("one", duration_sec=5.0)[0]
            assert daemon.request("play", track_id=track)["track_id"] == track


def test_whoever_takes_nothing_any_more_is_let_go() -> None:
    writer = Mock()
    writer.transport.is_closing.return_value = False
    writer.transport.get_write_buffer_size.return_value = 1000
    Follower(writer).send(b"line\n")
    writer.write.assert_called_once_with(b"line\n")
    writer.transport.get_write_buffer_size.return_value = 3 << 20
    Follower(writer).send(b"line\n")
    writer.transport.abort.assert_called_once()
    writer.write.assert_called_once()
