"""A terminal and an editor on one cache hear one music."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.player.signals import music, write
from tests.terminal.pseudo_terminal import Terminal, plain

TONES = {"demo": {}}
GROWING = '{"demo": {"pieces": 6, "seconds": {"decoding": 2.0}}}'
ONE_TRACK = ("--prompt", "frogs", "--duration", "8", "--seed", "3", "--play")


def editor(folder: Path) -> DaemonProcess:
    daemon = DaemonProcess(folder, backends=TONES, environment={"LOFI_AUDIO_DEVICE": "null"})
    daemon.request("ping")
    return daemon


def test_a_radio_of_the_terminal_plays_where_the_music_is_and_ends_with_q(tmp_path: Path) -> None:
    with editor(tmp_path) as daemon:
        terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "60", "--seed", "3")
        daemon.notification("playback_started")
        terminal.until("lofi radio · coffee shop")
        terminal.until("▶ ")
        assert daemon.request("status")["radio"]["preset"] == "coffee shop"
        terminal.press(" ")
        daemon.notification("playback_paused")
        terminal.until("⏸")
        daemon.request("resume")
        terminal.until("▶")
        daemon.request("player_set", volume=0.35, muted=False)
        terminal.until("volume 35 %")
        terminal.press("t")
        terminal.until("stops in 14:5")
        assert daemon.request("status")["player"]["stops_in_sec"] > 800
        terminal.press("k")
        terminal.until("♥")
        terminal.press("q")
        assert terminal.end() == 0
        status = daemon.request("status")
        assert (status["player"]["state"], status["radio"]) == ("stopped", None)


def test_what_the_editor_makes_for_a_radio_of_the_terminal_is_seen_in_both(tmp_path: Path) -> None:
    slow = {"ace_step": {"seconds": {"diffusing": 8.0}, "full_model": True}}
    with DaemonProcess(
        tmp_path, backends=slow, environment={"LOFI_AUDIO_DEVICE": "null"}
    ) as daemon:
        daemon.request("ping")
        terminal = Terminal(tmp_path, "radio", "frogs in the rain", "--duration", "60")
        terminal.until("making frogs in the rain")
        terminal.until("diffusing")
        terminal.press("q")
        assert terminal.end() == 0
        assert daemon.request("status")["queue"]["current"] is None


def test_a_radio_that_began_in_the_terminal_is_the_editors_too(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "60", "--seed", "3")
    terminal.until("▶ jazzy lofi")
    terminal.until("2/2 ready")
    with editor(tmp_path) as daemon:
        daemon.notification("playback_started")
        assert daemon.request("pause")["state"] == "paused"
        terminal.until("⏸")
        daemon.request("radio_start", preset="rainy night", duration_sec=60.0)
        terminal.until("lofi radio · rainy night")
        daemon.request("resume")
        terminal.press("q")  # the radio is the editor's now
        assert terminal.end() == 0
        status = daemon.request("status")
        assert (status["player"]["state"], status["radio"]["preset"]) == ("playing", "rainy night")


@pytest.mark.parametrize("end", ["kill", "hang up"])
def test_a_window_that_is_closed_ends_its_radio_and_one_that_crashes_leaves_it(
    tmp_path: Path, end: str
) -> None:
    terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "60", "--seed", "3")
    terminal.until("▶ jazzy lofi")
    with editor(tmp_path) as daemon:
        daemon.notification("playback_started")
        track = daemon.request("status")["player"]["track_id"]
        if end == "kill":
            terminal.process.kill()
            assert terminal.end() == -signal.SIGKILL
            daemon.wait_for(lambda message: message.get("method") == "playback_started")
            status = daemon.request("status")
            assert status["player"]["track_id"] == track
            assert (status["player"]["state"], status["radio"]["seed"]) == ("playing", 3)
        else:
            terminal.process.send_signal(signal.SIGHUP)
            assert terminal.end() == 0
            status = daemon.request("status")
            assert (status["player"]["state"], status["radio"]) == ("stopped", None)


def test_files_take_their_turn_and_then_the_radio_of_the_editor_goes_on(tmp_path: Path) -> None:
    one = write(tmp_path / "one é.wav", music(30.0))
    two = write(tmp_path / "two.wav", music(3.0))
    with editor(tmp_path) as daemon:
        daemon.request("radio_start", preset="rainy night", duration_sec=60.0)
        daemon.notification("playback_started")
        terminal = Terminal(
            tmp_path, "play", str(one), str(tmp_path / "gone.wav"), str(two), "--loop"
        )
        daemon.notification("playback_started", track_id=one.as_uri(), prompt="one é")
        terminal.until("▶ one é")
        terminal.until("lofi play · 1 of 3")
        terminal.until("gone.wav")
        daemon.request("pause")
        terminal.until("⏸ one é")
        assert daemon.request("status")["player"]["track_id"] == one.as_uri()
        daemon.request("resume")
        terminal.press("n")
        daemon.notification("playback_started", track_id=two.as_uri())
        terminal.until("▶ two")
        assert terminal.end() == 0  # after the last one it is the radio's turn again
        status = daemon.request("status")
        assert status["player"]["track_id"] not in (None, one.as_uri(), two.as_uri())
        assert status["player"]["loop"] == "off"
        assert status["playlist"] == []


def test_one_track_of_the_terminal_takes_its_turn_where_the_music_plays(tmp_path: Path) -> None:
    """It is heard there while it is made, and the radio goes on behind it."""
    with editor(tmp_path) as daemon:
        daemon.request("radio_start", preset="rainy night", duration_sec=60.0)
        before = daemon.notification("playback_started")["track_id"]
        terminal = Terminal(tmp_path, *ONE_TRACK, backends=GROWING)
        started = daemon.notification("playback_started", prompt="frogs")
        assert started["complete"] is False
        track = started["track_id"]
        assert track != before
        daemon.notification("playback_ended", track_id=track, reason="finished")
        assert terminal.end() == 0
        assert f"{track}.wav" in plain(terminal.written)
        status = daemon.request("status")
        assert status["player"]["state"] == "playing"
        assert status["player"]["track_id"] not in (None, track)


def test_one_track_of_the_terminal_is_the_editors_too_and_ends_with_an_interrupt(
    tmp_path: Path,
) -> None:
    terminal = Terminal(tmp_path, *ONE_TRACK[:3], "60", *ONE_TRACK[4:], backends=GROWING)
    with editor(tmp_path) as daemon:
        daemon.notification("playback_started", prompt="frogs")
        daemon.request("pause")
        assert daemon.request("status")["player"]["state"] == "paused"
        daemon.request("resume")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert daemon.request("status")["player"]["state"] == "stopped"


@pytest.mark.parametrize("key", ["q", ""])
def test_files_go_on_in_the_editor_only_when_their_terminal_crashes(
    tmp_path: Path, key: str
) -> None:
    one = write(tmp_path / "one.wav", music(60.0))
    terminal = Terminal(tmp_path, "play", str(one))
    terminal.until("▶ one")
    with editor(tmp_path) as daemon:
        daemon.notification("playback_started", track_id=one.as_uri())
        if key:
            terminal.press(key)
            assert terminal.end() == 0
            assert daemon.request("status")["player"]["state"] == "stopped"
        else:
            daemon.request("pause")
            terminal.until("⏸")
            terminal.process.kill()
            terminal.end()
            state = daemon.request("status")["player"]
            assert (state["state"], state["track_id"]) == ("paused", one.as_uri())
        assert "Traceback" not in plain(terminal.written) + daemon.log()
