"""Playing over the wire, into the player that plays to nobody."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess

TONES = {"demo": {}}
NULL = {"LOFI_AUDIO_DEVICE": "null"}


@pytest.fixture
def daemon(tmp_path: Path) -> Generator[DaemonProcess, None, None]:
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        yield daemon


def made(daemon: DaemonProcess, *prompts: str, duration_sec: float = 5.0) -> list[str]:
    return daemon.made(*prompts, duration_sec=duration_sec)


def test_a_track_is_played_and_told(daemon: DaemonProcess) -> None:
    (track,) = made(daemon, "rain")
    assert daemon.request("status")["player"]["state"] == "stopped"
    answer = daemon.request("play", track_id=track)
    assert answer["track_id"] == track
    assert answer["position_sec"] == pytest.approx(0.0, abs=0.5)
    started = daemon.notification("playback_started", track_id=track)
    assert started == {
        "track_id": track, "prompt": "rain", "position_sec": 0.0, "duration_sec": 5.0,
        "complete": True,
    }  # fmt: skip
    player = daemon.request("status")["player"]
    assert player["state"] == "playing"
    assert (player["prompt"], player["volume"], player["crossfade_sec"]) == ("rain", 0.5, 2.0)
    ended = daemon.notification("playback_ended")
    assert ended == {"track_id": track, "reason": "finished"}
    assert daemon.request("tracks_list")["tracks"][0]["last_played_at"] is not None


@pytest.mark.parametrize("between_sec", [0.0, 0.02, 0.1])
def test_a_stop_takes_back_what_does_not_sound_yet(
    daemon: DaemonProcess, between_sec: float
) -> None:
    """The first play starts the player, which takes a while."""
    (track,) = made(daemon, "rain", duration_sec=30.0)
    playing = daemon.call("play", track_id=track)
    time.sleep(between_sec)
    stopping = daemon.call("stop")
    daemon.answer(playing)
    assert daemon.answer(stopping)["result"]["state"] == "stopped"
    time.sleep(0.5)
    assert daemon.request("status")["player"]["state"] == "stopped"


def test_without_an_id_the_newest_track_is_played(daemon: DaemonProcess) -> None:
    tracks = made(daemon, "old", "new")
    assert daemon.request("play")["track_id"] == tracks[1]


def test_play_without_tracks_or_with_an_unknown_one_says_so(daemon: DaemonProcess) -> None:
    assert daemon.error("play")["data"]["code"] == "TRACK_NOT_FOUND"
    assert daemon.error("play", track_id="0" * 16)["data"]["code"] == "TRACK_NOT_FOUND"


def test_pause_resume_seek_and_stop(daemon: DaemonProcess) -> None:
    (track,) = made(daemon, "rain", duration_sec=30.0)
    daemon.request("play", track_id=track)
    daemon.notification("playback_started")
    assert daemon.request("player_set", position_sec=10.0, volume=0.2)["volume"] == 0.2
    assert daemon.request("pause")["state"] == "paused"
    paused = daemon.notification("playback_paused", track_id=track)
    assert 10.0 <= paused["position_sec"] < 20.0
    time.sleep(0.3)
    assert daemon.request("status")["player"]["position_sec"] == paused["position_sec"]
    assert daemon.request("play")["track_id"] == track
    resumed = daemon.notification("playback_resumed", track_id=track)
    assert resumed["position_sec"] == pytest.approx(paused["position_sec"], abs=0.1)
    assert daemon.request("stop")["state"] == "stopped"
    assert daemon.notification("playback_ended")["reason"] == "stopped"


def test_the_playlist_is_played_in_order_and_skipped_through(daemon: DaemonProcess) -> None:
    one, two, three = made(daemon, "one", "two", "three", duration_sec=20.0)
    assert daemon.request("playlist_add", track_ids=[one, two])["track_ids"] == [one, two]
    assert daemon.request("playlist_add", track_ids=[three])["track_ids"] == [one, two, three]
    assert daemon.error("playlist_add", track_ids=["0" * 16])["data"]["code"] == "TRACK_NOT_FOUND"
    assert daemon.request("play")["track_id"] == one
    daemon.request("playlist_remove", track_ids=[two])
    assert daemon.request("skip")["track_id"] == three
    assert daemon.notification("playback_ended", track_id=one)["reason"] == "skipped"
    assert daemon.request("skip")["state"] == "stopped"
    assert daemon.request("playlist_get")["track_ids"] == [one, three]
    assert daemon.request("playlist_clear")["track_ids"] == []


def test_loops(daemon: DaemonProcess) -> None:
    one, two = made(daemon, "one", "two", duration_sec=20.0)
    daemon.request("playlist_add", track_ids=[one, two])
    assert daemon.request("player_set", loop="playlist")["loop"] == "playlist"
    daemon.request("play", track_id=two)
    assert daemon.request("skip")["track_id"] == one
    daemon.request("player_set", loop="track")
    assert daemon.request("skip")["track_id"] == one
    daemon.request("player_set", loop="off")
    assert daemon.request("skip")["track_id"] == two
    assert daemon.request("skip")["state"] == "stopped"


def test_the_playing_track_cannot_be_deleted(daemon: DaemonProcess) -> None:
    one, two = made(daemon, "one", "two", duration_sec=20.0)
    daemon.request("play", track_id=one)
    assert one in daemon.error("tracks_delete", track_ids=[one, two])["message"]
    assert daemon.request("tracks_delete", track_ids=[two])["deleted"] == [two]


@pytest.mark.parametrize(
    "params", [{"volume": 1.5}, {"crossfade_sec": 13}, {"loop": "all"}, {"position_sec": -1}]
)
def test_values_out_of_range_are_refused(daemon: DaemonProcess, params: dict[str, object]) -> None:
    error = daemon.error("player_set", **params)
    assert error["code"] == -32602
    assert next(iter(params)) in error["message"]


def test_without_a_device_play_says_what_to_do_and_generating_works(tmp_path: Path) -> None:
    nothing = {"PULSE_SERVER": "unix:/nowhere", "XDG_RUNTIME_DIR": str(tmp_path), "LANG": "C"}
    with DaemonProcess(tmp_path, backends=TONES, environment=nothing) as daemon:
        (track,) = made(daemon, "rain")
        error = daemon.error("play", track_id=track)
        assert (error["code"], error["data"]["code"]) == (-32015, "AUDIO_DEVICE_ERROR")
        assert "LOFI_AUDIO_DEVICE" in error["data"]["hint"]
        assert daemon.request("audio_devices")["devices"] == []
        assert daemon.error("radio_start")["data"]["code"] == "AUDIO_DEVICE_ERROR"
        assert daemon.request("status")["radio"] is None
        made(daemon, "still works")


def test_a_device_that_does_not_exist_is_named(daemon: DaemonProcess) -> None:
    error = daemon.error("player_set", device="headphones of a dream")
    assert error["data"]["code"] == "AUDIO_DEVICE_ERROR"
    assert "headphones of a dream" in error["message"]
    assert daemon.request("status")["player"]["device"] == "null"


def test_a_radio_starts_plays_and_stops(daemon: DaemonProcess) -> None:
    radio = daemon.request("radio_start", prompts=["a", "b", "c"], seed=5, duration_sec=6)["radio"]
    assert (radio["prompts"], radio["ahead"], radio["seed"]) == (["a", "b", "c"], 2, 5)
    first = daemon.notification("playback_started")["track_id"]
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] >= 1)
    second = daemon.request("skip")["track_id"]
    assert second != first
    assert daemon.request("status")["radio"]["duration_sec"] == 6
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] == 2)
    assert daemon.request("radio_stop") == {"radio": None}
    assert daemon.request("status")["player"]["state"] == "playing"
    assert daemon.request("skip")["state"] == "stopped"


def test_a_radio_that_is_stopped_stays_silent_until_it_is_asked(daemon: DaemonProcess) -> None:
    daemon.request("radio_start", prompts=["a", "b"], duration_sec=6)
    daemon.notification("playback_started")
    assert daemon.request("stop")["state"] == "stopped"
    before = len(daemon.notifications("playback_started"))
    daemon.wait_for(lambda _: daemon.request("status")["radio"]["ready"] == 2)
    status = daemon.request("status")
    assert status["player"]["state"] == "stopped"
    assert status["radio"] is not None
    assert len(daemon.notifications("playback_started")) == before
    daemon.request("play")
    assert daemon.request("status")["player"]["state"] == "playing"


def test_a_users_playlist_goes_before_the_radio(daemon: DaemonProcess) -> None:
    mine, other = made(daemon, "mine", "other", duration_sec=20.0)
    daemon.request("radio_start", prompts=["a", "b"], duration_sec=6)
    daemon.notification("playback_started")
    daemon.request("playlist_add", track_ids=[mine, other])
    assert daemon.request("skip")["track_id"] == mine
    assert daemon.request("skip")["track_id"] == other
    # An older track may be lined up already when the next new one is late.
    daemon.wait_for(lambda _: daemon.request("skip")["track_id"] not in (mine, other))


def test_the_same_radio_seed_brings_the_same_tracks(tmp_path: Path) -> None:
    programmes = []
    for name in ("one", "two"):
        with DaemonProcess(tmp_path / name, backends=TONES, environment=NULL) as daemon:
            daemon.request("radio_start", preset="coffee shop", seed=9, ahead=3, duration_sec=6)
            daemon.wait_for(lambda _, d=daemon: d.request("status")["radio"]["ready"] == 3)
            tracks = daemon.request("tracks_list")["tracks"]
            programmes.append(sorted((track["prompt"], track["seed"]) for track in tracks[:3]))
    assert programmes[0] == programmes[1]


def test_a_slow_radio_replays_and_says_so(tmp_path: Path) -> None:
    slow = {"demo": {}, "ace_step": {"seconds": {"diffusing": 2.0}, "full_model": True}}
    with DaemonProcess(tmp_path, backends=slow, environment=NULL) as daemon:
        daemon.request("radio_start", prompts=["slow"], duration_sec=6, backend="ace_step")
        silent = daemon.notification("radio_waiting")
        assert silent["ready"] == 0
        assert silent["replaying"] is None
        playing = daemon.notification("playback_started")["track_id"]
        assert daemon.notification("radio_waiting", replaying=playing)["eta_sec"] is not None
        daemon.notification("generation_complete", track_id=playing)  # it was heard before
        made_by = {track["backend"] for track in daemon.request("tracks_list")["tracks"]}
        assert made_by == {"demo"}


def test_what_the_user_asks_for_goes_before_the_radios_work(tmp_path: Path) -> None:
    tones = {"demo": {"seconds": {"diffusing": 0.05}}}
    with DaemonProcess(tmp_path, backends=tones, environment=NULL) as daemon:
        daemon.request("radio_start", prompts=["radio"], duration_sec=6, ahead=10)
        daemon.notification("generation_progress")
        ticket = daemon.request("generate", prompt="mine", duration_sec=5)
        daemon.final(ticket["track_id"])
        complete = daemon.notifications("generation_complete")
        prompts = [message["params"]["prompt"] for message in complete]
        assert prompts.index("mine") <= prompts.count("radio")
        assert len([prompt for prompt in prompts if prompt == "radio"]) <= 4


def test_presets_are_at_least_ten_and_an_unknown_one_is_refused(daemon: DaemonProcess) -> None:
    presets = daemon.request("radio_presets")["presets"]
    names = {preset["name"] for preset in presets}
    assert len(names) >= 10
    assert {"rainy night", "coffee shop", "late-night coding", "early train"} <= names
    error = daemon.error("radio_start", preset="polka")
    assert "polka" in error["message"]
    assert "rainy night" in error["data"]["hint"]
    assert daemon.error("radio_start", preset="arcade", prompts=["x"])["code"] == -32602
    assert daemon.error("radio_start", prompts=[" "])["data"]["code"] == "INVALID_PROMPT"


def test_skip_answers_within_a_twentieth_of_a_second(daemon: DaemonProcess) -> None:
    one, two = made(daemon, "one", "two", duration_sec=20.0)
    daemon.request("play", track_id=one)
    daemon.request("playlist_add", track_ids=[two, one, two, one, two])
    times = []
    for _ in range(5):
        start = time.monotonic()
        daemon.request("skip")
        times.append(time.monotonic() - start)
        time.sleep(0.5)
    assert sorted(times)[2] <= 0.05, times


GROWING = {"demo": {"pieces": 6, "seconds": {"decoding": 3.0}}}


def test_early_play_begins_before_the_track_is_complete(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=GROWING, environment=NULL) as daemon:
        track = daemon.request("generate", prompt="rain", duration_sec=6, play="early")["track_id"]
        started = daemon.notification("playback_started", track_id=track)
        assert started["complete"] is False
        assert started["duration_sec"] == 6.0
        assert not daemon.notifications("generation_complete")
        player = daemon.request("status")["player"]
        assert (player["state"], player["track_id"], player["prompt"]) == ("playing", track, "rain")
        daemon.notification("generation_complete", track_id=track)
        ended = daemon.notification("playback_ended", track_id=track)
        assert ended == {"track_id": track, "reason": "finished"}
        assert len(daemon.notifications("playback_started")) == 1
        assert daemon.request("play", track_id=track)["track_id"] == track
        assert daemon.notification("playback_started", complete=True)["track_id"] == track


def test_ready_play_waits_and_a_stop_takes_either_back(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=GROWING, environment=NULL) as daemon:
        ready = daemon.request("generate", prompt="rain", duration_sec=6, play="ready")["track_id"]
        daemon.notification("generation_complete", track_id=ready)
        started = daemon.notification("playback_started", track_id=ready)
        assert started["complete"] is True
        other = daemon.request("generate", prompt="snow", duration_sec=6, play="early")["track_id"]
        daemon.request("stop")
        daemon.notification("generation_complete", track_id=other)
        daemon.request("ping")
        assert not daemon.notifications("playback_started", track_id=other)
