"""A real playerctl on a real bus controls what a real daemon plays."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.mpris.conftest import PATIENCE_SEC, PlayerCtl
from tests.system import require
from tests.test_cli import command, environment

TONES = {"ace_step": {"full_model": True}}  # which has no short track to begin with


def daemon(folder: Path, address: str, **variables: str) -> DaemonProcess:
    environment = {
        "LOFI_AUDIO_DEVICE": "null",
        "DBUS_SESSION_BUS_ADDRESS": address,
        "XDG_RUNTIME_DIR": str(folder / "none"),
        **variables,
    }
    return DaemonProcess(folder, backends=TONES, environment=environment)


def until(playerctl: PlayerCtl, wanted: str, *arguments: str) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while (said := playerctl(*arguments)) != wanted:
        assert time.monotonic() < deadline, f"{arguments} say {said!r}, not {wanted!r}"
        time.sleep(0.05)


def test_playerctl_controls_the_radio(tmp_path: Path, bus: str, playerctl: PlayerCtl) -> None:
    with daemon(tmp_path, bus) as radio:
        assert "No players found" in playerctl("status")
        radio.request("radio_start", preset="rainy night", duration_sec=60.0, ahead=2)
        until(playerctl, "Playing", "status")
        assert playerctl("--list-all") == "lofi"
        first = playerctl("metadata", "title")
        assert first.startswith("rainy night · ")
        assert int(playerctl("metadata", "mpris:length")) == 60_000_000
        playerctl("pause")
        radio.notification("playback_paused")
        until(playerctl, "Paused", "status")
        playerctl("play-pause")
        radio.notification("playback_resumed")
        until(playerctl, "Playing", "status")
        playerctl("volume", "0.25")
        until(playerctl, "0.250000", "volume")
        assert radio.request("status")["player"]["volume"] == 0.25
        playerctl("position", "30")
        assert 30.0 <= float(playerctl("position")) < 60.0
        playerctl("position", "10-")
        assert 20.0 <= float(playerctl("position")) < 50.0
        assert radio.request("status")["player"]["position_sec"] >= 20.0
        playerctl("loop", "Track")
        until(playerctl, "Track", "loop")
        assert radio.request("status")["player"]["loop"] == "track"
        playerctl("loop", "None")
        until(playerctl, "None", "loop")
        deadline = time.monotonic() + PATIENCE_SEC
        while radio.request("status")["radio"]["ready"] < 1:
            assert time.monotonic() < deadline, "no other track was made"
            time.sleep(0.05)
        playerctl("next")
        radio.notification("playback_ended", reason="skipped")
        track = radio.request("status")["player"]["track_id"]
        playerctl("previous")  # in the first seconds: to the track before
        radio.notification("playback_ended", track_id=track)
        until(playerctl, first, "metadata", "title")
        playerctl("stop")
        until(playerctl, "Stopped", "status")
        assert radio.request("status")["player"]["state"] == "stopped"
        playerctl("play")
        until(playerctl, "Playing", "status")
    assert "No players found" in playerctl("status")


def test_the_desktop_is_told_of_what_others_change(
    tmp_path: Path, bus: str, playerctl: PlayerCtl
) -> None:
    with daemon(tmp_path, bus) as editor:
        one, two = editor.made("one", "two", duration_sec=60.0)
        editor.request("play", track_id=one)
        until(playerctl, "one", "metadata", "title")
        watching = subprocess.Popen(
            ["playerctl", "--follow", "metadata", "--format", "{{status}} {{title}} {{volume}}"],
            stdout=subprocess.PIPE,
            text=True,
            env={"DBUS_SESSION_BUS_ADDRESS": bus, "PATH": os.environ["PATH"]},
        )
        patience = threading.Timer(PATIENCE_SEC, watching.kill)
        patience.start()
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline() == "Playing one 0.5\n"
            editor.request("play", track_id=two)
            editor.request("player_set", volume=0.75)
            editor.request("pause")
            seen = ""
            while seen != "Paused two 0.75\n":
                seen = watching.stdout.readline()
                assert seen, "playerctl ended"
            editor.request("player_set", muted=True)
            while seen != "Paused two 0.0\n":
                seen = watching.stdout.readline()
                assert seen, "playerctl ended"
        finally:
            patience.cancel()
            watching.kill()
            watching.communicate()
        editor.request("player_set", position_sec=40.0)
        until(playerctl, "40.000000", "position")


def test_one_music_of_two_editors_is_one_player_and_moves_with_it(
    tmp_path: Path, bus: str, playerctl: PlayerCtl
) -> None:
    shared = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    (tmp_path / "run").mkdir(mode=0o700)
    one = daemon(tmp_path, bus, **shared)
    one.request("ping")
    with daemon(tmp_path, bus, **shared) as two:
        (track,) = two.made("one", duration_sec=60.0)
        two.request("play", track_id=track)
        until(playerctl, "Playing", "status")
        assert playerctl("--list-all") == "lofi"
        one.close()
        until(playerctl, "Playing", "status")
        playerctl("pause")
        until(playerctl, "Paused", "status")
        assert two.request("status")["player"]["state"] == "paused"


def test_one_track_of_the_command_line_is_a_player_too(
    tmp_path: Path, bus: str, playerctl: PlayerCtl
) -> None:
    variables = {"LOFI_AUDIO_DEVICE": "null", "DBUS_SESSION_BUS_ADDRESS": bus}
    one_track = ["--prompt", "frogs", "--duration", "60", "--play"]
    process = subprocess.Popen(
        command(*one_track), env={**environment(tmp_path), **variables}, stdout=subprocess.DEVNULL
    )
    until(playerctl, "Playing", "status")
    assert playerctl("metadata", "title") == "frogs"
    playerctl("stop")
    assert process.wait(PATIENCE_SEC) == 0
    assert "No players found" in playerctl("status")


def test_two_caches_are_two_players(tmp_path: Path, bus: str, playerctl: PlayerCtl) -> None:
    with daemon(tmp_path / "a", bus) as one, daemon(tmp_path / "b", bus) as two:
        for each in (one, two):
            (track,) = each.made("rain", duration_sec=60.0)
            each.request("play", track_id=track)
            each.notification("playback_started")
        both = {"lofi", f"lofi.instance{two.process.pid}"}
        deadline = time.monotonic() + PATIENCE_SEC
        while len(names := set(playerctl("--list-all").split())) < 2:
            assert time.monotonic() < deadline, names
        assert names == both or names == {"lofi", f"lofi.instance{one.process.pid}"}


def test_it_can_be_switched_off(tmp_path: Path, bus: str, playerctl: PlayerCtl) -> None:
    with daemon(tmp_path, bus, LOFI_MPRIS="off") as editor:
        (track,) = editor.made("rain", duration_sec=60.0)
        editor.request("play", track_id=track)
        editor.notification("playback_started")
        assert "No players found" in playerctl("status")
        assert "Media keys" not in editor.log()


@pytest.mark.parametrize("address", ["", "unix:path=/nowhere/bus", "nonsense"])
def test_without_a_bus_the_music_plays_and_the_log_has_one_line(
    tmp_path: Path, address: str
) -> None:
    with daemon(tmp_path, address, DISPLAY="") as editor:
        (track,) = editor.made("rain", duration_sec=60.0)
        editor.request("play", track_id=track)
        editor.notification("playback_started")
        deadline = time.monotonic() + PATIENCE_SEC
        while "Media keys" not in editor.log():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert editor.request("pause")["state"] == "paused"
        assert editor.request("play")["track_id"] == track
        assert editor.log().count("Media keys") == 1
        assert "Traceback" not in editor.log()


def test_a_bus_that_does_not_answer_delays_nothing(tmp_path: Path, bus: str) -> None:
    (pid,) = _bus_processes(bus)
    os.kill(pid, signal.SIGSTOP)
    try:
        with daemon(tmp_path, bus) as editor:
            (track,) = editor.made("rain", duration_sec=60.0)
            editor.request("play", track_id=track)
            editor.notification("playback_started")
            assert editor.request("pause")["state"] == "paused"
            before = time.monotonic()
            assert editor.close() == 0
            assert time.monotonic() - before < 2.0
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_bus_that_ends_ends_no_music(tmp_path: Path, bus: str, playerctl: PlayerCtl) -> None:
    with daemon(tmp_path, bus) as editor:
        (track,) = editor.made("rain", duration_sec=60.0)
        editor.request("play", track_id=track)
        until(playerctl, "Playing", "status")
        (pid,) = _bus_processes(bus)
        os.kill(pid, signal.SIGKILL)
        assert editor.request("pause")["state"] == "paused"
        assert editor.request("resume")["state"] == "playing"
        assert "Traceback" not in editor.log()


def _bus_processes(address: str) -> list[int]:
    """The dbus-daemon that listens there."""
    import psutil

    path = address.partition("path=")[2].partition(",")[0]
    return [
        connection.pid
        for connection in psutil.net_connections("unix")
        if connection.laddr == path and connection.pid is not None and connection.status
    ][:1]


def test_what_is_asked_wrongly_is_answered_and_changes_nothing(tmp_path: Path, bus: str) -> None:
    require("dbus-send")

    def call(*arguments: str) -> str:
        done = subprocess.run(
            ["dbus-send", "--print-reply", "--dest=org.mpris.MediaPlayer2.lofi",
             "/org/mpris/MediaPlayer2", *arguments],
            capture_output=True, text=True, timeout=PATIENCE_SEC, check=False,
            env={"DBUS_SESSION_BUS_ADDRESS": bus, "PATH": os.environ["PATH"]},
        )  # fmt: skip
        return done.stdout + done.stderr

    player = "org.mpris.MediaPlayer2.Player"
    put = "org.freedesktop.DBus.Properties.Set"
    with daemon(tmp_path, bus) as editor:
        (track,) = editor.made("rain", duration_sec=60.0)
        editor.request("play", track_id=track)
        deadline = time.monotonic() + PATIENCE_SEC
        while "Playing" not in call(
            "org.freedesktop.DBus.Properties.Get", f"string:{player}", "string:PlaybackStatus"
        ):
            assert time.monotonic() < deadline
        editor.request("pause")
        stale = f"{player}.SetPosition"
        call(stale, "objpath:/nvim/lofi/turn/999", "int64:30000000")
        call(stale, "objpath:/nvim/lofi/turn/1", "int64:-5")
        call(stale, "objpath:/nvim/lofi/turn/1", "int64:61000000")
        assert "Track or Playlist" in call(
            put, f"string:{player}", "string:LoopStatus", "variant:string:Sometimes"
        )
        assert "Error" in call(f"{player}.OpenUri", "string:file:///etc/passwd")
        assert "Error" in call(f"{player}.Seek", "string:far")
        call(put, f"string:{player}", "string:Volume", "variant:double:nan")
        call(put, f"string:{player}", "string:Volume", "variant:double:7")
        call(f"{player}.Seek", "int64:-99000000")
        state = editor.request("status")["player"]
        assert (state["state"], state["loop"], state["volume"]) == ("paused", "off", 1.0)
        assert state["position_sec"] < 5.0
        editor.request("tracks_keep", track_ids=[track], kept=True)
        call(
            f"{player}.Seek", "int64:99000000"
        )  # beyond the end: the next track, and there is none
        editor.notification("playback_ended", track_id=track)
        assert "Traceback" not in editor.log()
