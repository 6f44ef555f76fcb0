"""Playback when things break: processes killed, files gone or damaged, caches shared."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.daemon_process import PATIENCE_SEC, DaemonProcess

TONES = {"demo": {}}
NULL = {"LOFI_AUDIO_DEVICE": "null"}


@pytest.fixture
def daemon(tmp_path: Path) -> Generator[DaemonProcess, None, None]:
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        yield daemon


def made(daemon: DaemonProcess, *prompts: str, duration_sec: float = 30.0) -> list[str]:
    return daemon.made(*prompts, duration_sec=duration_sec)


def player_of(daemon: DaemonProcess) -> psutil.Process:
    for process in psutil.Process(daemon.process.pid).children(recursive=True):
        if "lofi_daemon.player" in process.cmdline():
            return process
    raise AssertionError("the daemon has no player")


def test_a_killed_player_comes_back_where_it_was(daemon: DaemonProcess) -> None:
    one, two = made(daemon, "one", "two")
    daemon.request("playlist_add", track_ids=[one, two])
    daemon.request("player_set", volume=0.3)
    daemon.request("play")
    daemon.request("player_set", position_sec=12.0)
    time.sleep(0.5)
    player_of(daemon).send_signal(signal.SIGKILL)
    again = daemon.wait_for(
        lambda message: (
            message.get("method") == "playback_started" and message["params"]["position_sec"] > 0
        )
    )["params"]
    assert again["track_id"] == one
    assert 12.0 <= again["position_sec"] < 20.0
    player = daemon.request("status")["player"]
    assert (player["state"], player["volume"]) == ("playing", 0.3)
    assert daemon.request("skip")["track_id"] == two
    assert not daemon.notifications("playback_ended", reason="error")


def test_a_player_killed_while_paused_goes_on_when_asked(daemon: DaemonProcess) -> None:
    (one,) = made(daemon, "one")
    daemon.request("play")
    daemon.request("player_set", position_sec=12.0)
    daemon.request("pause")
    player_of(daemon).send_signal(signal.SIGKILL)
    time.sleep(0.3)
    assert daemon.request("status")["player"]["state"] == "paused"
    assert daemon.request("resume")["track_id"] == one
    assert 12.0 <= daemon.request("status")["player"]["position_sec"] < 20.0


def test_a_stop_after_the_player_died_stops(daemon: DaemonProcess) -> None:
    """Nobody is left who could say that it is silent."""
    (one,) = made(daemon, "one")
    daemon.request("play")
    daemon.request("pause")
    player = player_of(daemon)
    player.send_signal(signal.SIGKILL)
    player.wait(PATIENCE_SEC)
    assert daemon.request("stop")["state"] == "stopped"
    assert daemon.notification("playback_ended", track_id=one)["reason"] == "stopped"


def test_a_player_that_keeps_dying_is_given_up_and_said(daemon: DaemonProcess) -> None:
    made(daemon, "one", duration_sec=90.0)
    daemon.request("play")
    for _ in range(6):
        before = len(daemon.notifications("playback_started"))
        player_of(daemon).send_signal(signal.SIGKILL)
        daemon.wait_for(
            lambda _, before=before: (
                len(daemon.notifications("playback_started")) > before
                or bool(daemon.notifications("playback_ended", reason="error"))
            )
        )
    error = daemon.notifications("playback_ended", reason="error")[0]["params"]
    assert error["code"] == "AUDIO_PLAYBACK_ERROR"
    assert "died" in error["message"]
    assert daemon.request("status")["player"]["state"] == "stopped"
    assert daemon.request("play")["track_id"]


def test_no_player_outlives_a_killed_daemon(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, backends=TONES, environment=NULL)
    made(daemon, "one")
    daemon.request("play")
    player = player_of(daemon)
    daemon.kill()
    player.wait(timeout=10)
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as again:
        assert again.request("tracks_list")["total"] == 1
        assert again.request("play")["position_sec"] == pytest.approx(0.0, abs=0.5)


def test_the_playing_file_removed_plays_on_and_is_missed_at_the_next_turn(
    daemon: DaemonProcess,
) -> None:
    one, two = made(daemon, "one", "two", duration_sec=8.0)
    daemon.request("playlist_add", track_ids=[one, two])
    daemon.request("player_set", loop="playlist", crossfade_sec=0)
    daemon.request("play")
    for file in daemon.tracks_folder.glob(f"{one}.*"):
        file.unlink()
    assert daemon.notification("playback_ended", track_id=one)["reason"] == "finished"
    assert daemon.notification("playback_started", track_id=two)
    ended = daemon.notification("playback_ended", track_id=one, reason="error")
    assert ended["code"] == "AUDIO_PLAYBACK_ERROR"
    assert one in ended["message"]
    assert daemon.request("playlist_get")["track_ids"] == [two]


def test_a_corrupt_file_in_the_playlist_is_named_and_passed_over(daemon: DaemonProcess) -> None:
    one, two, three = made(daemon, "one", "two", "three", duration_sec=20.0)
    file = daemon.tracks_folder / f"{two}.wav"
    file.write_bytes(os.urandom(file.stat().st_size))
    daemon.request("playlist_add", track_ids=[one, two, three])
    daemon.request("play")
    ended = daemon.notification("playback_ended", track_id=two)
    assert (ended["reason"], ended["code"]) == ("error", "AUDIO_PLAYBACK_ERROR")
    assert two in ended["message"]
    assert daemon.request("skip")["track_id"] == three
    error = daemon.error("play", track_id=two)
    assert (error["code"], error["data"]["code"]) == (-32016, "AUDIO_PLAYBACK_ERROR")
    assert daemon.request("status")["player"]["track_id"] == three


def test_a_radio_whose_model_fails_plays_what_there_is(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        tracks = made(daemon, "one", "two", duration_sec=6.0)
        daemon.request("radio_start", prompts=["fail at once"], duration_sec=6)
        daemon.notification("generation_error")
        for track in tracks:
            daemon.notification("playback_started", track_id=track)
        daemon.wait_for(lambda _: len(daemon.notifications("generation_error")) >= 2)
        assert daemon.request("status")["player"]["state"] == "playing"


def test_a_radio_repeats_in_order_though_a_wrong_clock_dated_what_was_heard(
    daemon: DaemonProcess,
) -> None:
    tracks = made(daemon, "one", "two", "three", duration_sec=60.0)
    for track in tracks:
        sidecar = daemon.tracks_folder / f"{track}.json"
        fields = json.loads(sidecar.read_text())
        sidecar.write_text(json.dumps({**fields, "last_played_at": "2091-01-01T00:00:00.000Z"}))
    daemon.request("radio_start", prompts=["fail at once"], duration_sec=6)
    daemon.notification("playback_started")
    for count in (2, 3):
        daemon.request("skip")
        daemon.wait_for(
            lambda _, count=count: len(daemon.notifications("playback_started")) >= count
        )
    started = daemon.notifications("playback_started")[:3]
    assert {message["params"]["track_id"] for message in started} == set(tracks)


def test_a_radio_goes_on_when_its_ready_tracks_are_deleted(daemon: DaemonProcess) -> None:
    daemon.request("radio_start", prompts=["a", "b"], duration_sec=6, ahead=2)
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] == 2)
    playing = daemon.request("status")["player"]["track_id"]
    others = [
        track["track_id"]
        for track in daemon.request("tracks_list")["tracks"]
        if track["track_id"] != playing
    ]
    daemon.request("tracks_delete", track_ids=others)
    before = len(daemon.notifications("playback_started"))
    daemon.wait_for(lambda _: len(daemon.notifications("playback_started")) >= before + 2)
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] == 2)


def test_two_daemons_share_a_cache_and_evict_at_once(tmp_path: Path) -> None:
    limits = {**NULL, "LOFI_CACHE_MAX_MB": "10"}
    with (
        DaemonProcess(tmp_path, backends=TONES, environment=limits) as one,
        DaemonProcess(tmp_path, backends=TONES, environment=limits) as two,
    ):
        kept = made(one, "kept", duration_sec=10.0)
        one.request("tracks_keep", track_ids=kept, kept=True)
        playing = made(one, "playing", duration_sec=20.0)
        one.request("play", track_id=playing[0])
        tickets = [
            (daemon, daemon.request("generate", prompt=f"{name} {n}", duration_sec=10.0, seed=n))
            for n in range(8)
            for name, daemon in (("one", one), ("two", two))
        ]
        for daemon, ticket in tickets:
            assert daemon.final(ticket["track_id"])["method"] == "generation_complete"
        one.wait_for(lambda _: one.request("status")["cache"]["bytes"] <= 10_000_000)
        listed = {track["track_id"] for track in one.request("tracks_list")["tracks"]}
        assert set(kept) <= listed
        assert one.request("status")["player"]["track_id"] == playing[0]
        for track in two.request("tracks_list")["tracks"]:
            path = Path(track["path"])
            assert path.stat().st_size == track["bytes"]
        one.request("tracks_keep", track_ids=kept, kept=False)


@pytest.mark.parametrize(
    "odd",
    [
        {"loudness_lufs": -99999},
        {"loudness_lufs": 1e300, "true_peak": -1e300},
        {"true_peak": 5e-324, "waveform": []},
        {"last_played_at": "yesterday"},
        {"last_played_at": "9999-99-99T00:00:00Z", "duration_sec": -1e300},
    ],
)
def test_odd_things_in_a_sidecar_do_not_stop_the_music(
    daemon: DaemonProcess, odd: dict[str, object]
) -> None:
    one, two = made(daemon, "one", "two", duration_sec=6.0)
    sidecar = daemon.tracks_folder / f"{one}.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **odd}))
    # what is too odd is no track any more
    known = [track["track_id"] for track in daemon.request("tracks_list")["tracks"]]
    assert two in known
    daemon.request("playlist_add", track_ids=[*known, *known])
    daemon.request("play")
    heard = [daemon.request("status")["player"]["track_id"]]
    heard += [daemon.request("skip")["track_id"] for _ in known]
    assert two in heard
    daemon.request("radio_start", prompts=["a", "b"], duration_sec=6)
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] == 2)
    assert "Traceback" not in daemon.log()


def test_a_cache_whose_path_is_no_text_is_played(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff"))
    with DaemonProcess(folder, backends=TONES, environment=NULL) as daemon:
        one, two = made(daemon, "one", "two", duration_sec=6.0)
        daemon.request("playlist_add", track_ids=[one, two])
        assert daemon.request("play")["track_id"] == one
        assert daemon.request("skip")["track_id"] == two
        (folder / "lofi.nvim" / "tracks" / f"{one}.wav").write_bytes(b"")
        assert daemon.error("play", track_id=one)["data"]["code"] == "TRACK_NOT_FOUND"


def test_what_the_player_still_owes_is_answered_at_shutdown(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        made(daemon, "one")
        daemon.request("play")
        player = player_of(daemon)
        player.send_signal(signal.SIGSTOP)
        asked = daemon.call("audio_devices")
        daemon.call("shutdown")
        assert "error" in daemon.answer(asked)
        assert daemon.wait() == 0
        player.wait(timeout=10)
