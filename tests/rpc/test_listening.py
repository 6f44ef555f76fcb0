"""What listeners expect of every player: back, mute, a timer, their own tracks, no long silence."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess

NULL = {"LOFI_AUDIO_DEVICE": "null"}
TONES = {"demo": {}}
# a model that is done long after the test
NEVER = {"demo": {"seconds": {"diffusing": 60.0}}}


@pytest.fixture
def daemon(tmp_path: Path) -> Generator[DaemonProcess, None, None]:
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        yield daemon


def player(daemon: DaemonProcess) -> dict[str, object]:
    return daemon.request("status")["player"]


def test_back_goes_to_the_beginning_and_then_to_the_track_before(daemon: DaemonProcess) -> None:
    assert daemon.error("previous")["data"]["code"] == "TRACK_NOT_FOUND"
    one, two, three = daemon.made("one", "two", "three", duration_sec=30.0)
    daemon.request("playlist_add", track_ids=[one, two, three])
    assert daemon.request("play")["track_id"] == one
    assert daemon.request("skip")["track_id"] == two
    assert daemon.request("skip")["track_id"] == three
    daemon.request("player_set", position_sec=12.0)
    state = daemon.request("previous")
    assert state["track_id"] == three
    assert state["position_sec"] < 5.0
    assert daemon.request("previous")["track_id"] == two
    assert daemon.request("previous")["track_id"] == one
    assert daemon.request("previous")["track_id"] == one
    assert daemon.request("skip")["track_id"] == two
    daemon.request("stop")
    assert daemon.request("previous")["track_id"] == two


def test_a_track_that_was_deleted_is_not_gone_back_to(daemon: DaemonProcess) -> None:
    one, two, three = daemon.made("one", "two", "three", duration_sec=30.0)
    for track in (one, two, three):
        daemon.request("play", track_id=track)
    daemon.request("tracks_delete", track_ids=[two])
    assert daemon.request("previous")["track_id"] == one


def test_muting_keeps_the_volume(daemon: DaemonProcess) -> None:
    (one,) = daemon.made("one", duration_sec=30.0)
    daemon.request("play", track_id=one)
    muted = daemon.request("player_set", muted=True)
    assert (muted["muted"], muted["volume"], muted["state"]) == (True, 0.5, "playing")
    assert daemon.request("player_set", volume=0.8)["muted"] is True
    assert daemon.request("player_set", muted=False)["volume"] == 0.8


def test_the_timer_fades_out_and_stops(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    heard = tmp_path / "heard.wav"
    recorded = {"LOFI_AUDIO_DEVICE": f"file:{heard}"}
    with DaemonProcess(tmp_path, backends=TONES, environment=recorded) as daemon:
        one, two = daemon.made("one", "two", duration_sec=30.0)
        daemon.request("play", track_id=one)
        assert player(daemon)["stops_in_sec"] is None
        left = daemon.request("player_set", stops_in_sec=3.0)["stops_in_sec"]
        assert 2.0 <= left <= 3.0
        assert daemon.notification("playback_ended", track_id=one)["reason"] == "stopped"
        state = player(daemon)
        assert (state["state"], state["stops_in_sec"], state["volume"]) == ("stopped", None, 0.5)
        daemon.request("player_set", stops_in_sec=600.0)
        assert daemon.request("player_set", stops_in_sec=None)["stops_in_sec"] is None
        daemon.request("play", track_id=two)
        time.sleep(1.0)
    samples, rate = soundfile.read(heard)
    loud = np.abs(samples).max(axis=1)
    start = int(np.argmax(loud > 0.01))
    first, last = loud[start : start + rate // 2].max(), loud[start + 2 * rate : start + 3 * rate]
    assert last.max() < 0.6 * first
    assert np.abs(loud[-rate // 4 :]).max() > 0.8 * first, "the volume came back with the next"


def test_a_radio_of_kept_tracks_plays_nothing_else_and_makes_nothing(daemon: DaemonProcess) -> None:
    assert daemon.error("radio_start", library="kept")["data"]["code"] == "TRACK_NOT_FOUND"
    one, two, three = daemon.made("one", "two", "three", duration_sec=30.0)
    daemon.request("tracks_keep", track_ids=[one, three], kept=True)
    radio = daemon.request("radio_start", library="kept")["radio"]
    assert (radio["library"], radio["prompts"], radio["ready"]) == ("kept", [], 0)
    daemon.notification("playback_started")
    heard = [player(daemon)["track_id"]]
    heard += [daemon.request("skip")["track_id"] for _ in range(3)]
    assert heard in ([one, three, one, three], [three, one, three, one])
    assert daemon.request("tracks_list")["total"] == 3
    assert two not in heard
    assert not daemon.notifications("radio_waiting")
    daemon.request("radio_start", library="all", order="shuffle", seed=1)
    everything = {daemon.request("skip")["track_id"] for _ in range(6)}
    assert everything == {one, two, three}
    error = daemon.error("radio_start", library="all", preset="arcade")
    assert error["code"] == -32602


def test_the_only_kept_track_comes_again(daemon: DaemonProcess) -> None:
    (one,) = daemon.made("one", duration_sec=5.0)
    daemon.request("tracks_keep", track_ids=[one], kept=True)
    daemon.request("radio_start", library="kept")
    daemon.wait_for(lambda _: len(daemon.notifications("playback_started")) >= 2)


@pytest.fixture
def slow(tmp_path: Path) -> Generator[DaemonProcess, None, None]:
    """A daemon with one track, and a model that makes no other one in time."""
    with DaemonProcess(tmp_path, backends=TONES, environment=NULL) as daemon:
        daemon.made("there already", duration_sec=30.0)
    with DaemonProcess(tmp_path, backends=NEVER, environment=NULL) as daemon:
        yield daemon


def test_where_a_track_is_there_is_sound_though_it_was_the_last(slow: DaemonProcess) -> None:
    (track,) = [track["track_id"] for track in slow.request("tracks_list")["tracks"]]
    slow.request("radio_start", prompts=["a", "b"], duration_sec=6)
    slow.notification("playback_started", track_id=track)
    slow.request("stop")
    slow.request("radio_start", prompts=["a", "b"], duration_sec=6)
    slow.wait_for(lambda _: len(slow.notifications("playback_started")) == 2)
    slow.request("stop")
    assert slow.request("play")["track_id"] == track
    assert not slow.notifications("generation_complete")


def test_with_nothing_ready_a_skip_waits_in_music(slow: DaemonProcess) -> None:
    slow.request("radio_start", prompts=["a", "b"], duration_sec=6)
    track = slow.notification("playback_started")["track_id"]
    slow.notification("radio_waiting", replaying=track)
    before = len(slow.notifications("radio_waiting", replaying=track))
    state = slow.request("skip")
    assert (state["state"], state["track_id"]) == ("playing", track)
    slow.wait_for(lambda _: len(slow.notifications("radio_waiting", replaying=track)) > before)
    assert not slow.notifications("playback_ended")


def test_a_radio_of_a_thousand_prompts_asks_about_one(daemon: DaemonProcess) -> None:
    daemon.request("get_backends")
    before = daemon.log().count("is asked about")
    prompts = [f"prompt number {number}" for number in range(1000)]
    daemon.request("radio_start", prompts=prompts, duration_sec=6)
    asked = daemon.log().count("is asked about") - before
    assert 1 <= asked <= 5, "one to see whether it can be done, and what is made ahead"
