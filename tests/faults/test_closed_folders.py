"""Folders below one that is another user's alone: everything else works, and what does not says so.

Root may look into every folder, so the programs run without that right.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.terminal.pseudo_terminal import Terminal
from tests.test_cli import ONE, environment

ONLY_OWN = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)
# What may lie there, and the variables that say so.
PLACES = {
    "models": ("LOFI_MODEL_PATH", "LOFI_ACE_STEP_MODEL_PATH", "LOFI_ACE_STEP_15_MODEL_PATH"),
    "tracks": ("LOFI_CACHE_PATH",),
    "cache": ("XDG_CACHE_HOME",),
    "configuration": ("XDG_CONFIG_HOME",),
    "data": ("XDG_DATA_HOME",),
    "all of it": ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
}
pytestmark = pytest.mark.parametrize("place", PLACES)


@pytest.fixture
def closed(tmp_path: Path, place: str) -> Iterator[dict[str, str]]:
    """The variables, with folders below one that nobody may enter."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    yield {name: str(folder / "inside" / name) for name in PLACES[place]}
    folder.chmod(0o700)


def test_the_command_line(tmp_path: Path, place: str, closed: dict[str, str]) -> None:
    output = tmp_path / "x.wav"
    for arguments in (["backends"], ["doctor"], ["radio", "--list"], [*ONE, "--output", output]):
        done = subprocess.run(
            [*ONLY_OWN, sys.executable, "-m", "lofi_daemon", *map(str, arguments)],
            env={**environment(tmp_path), "LOFI_AUDIO_DEVICE": "null", **closed},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        unread = arguments[0] == "radio" and "XDG_CONFIG_HOME" in closed
        assert done.returncode == unread, done.stderr
        assert "Traceback" not in done.stderr
        assert unread <= ("cannot be read: Permission denied" in done.stderr)
        if place == "models" and arguments == ["backends"]:
            assert done.stdout.count("cannot be read: Permission denied") == len(closed)
            assert "* demo" in done.stdout
        assert done.stderr.count("Checksums are computed anew") <= 1
        assert done.stderr.count("Checksums cannot be remembered") <= 1
    assert output.stat().st_size > 44


def test_a_client(tmp_path: Path, place: str, closed: dict[str, str]) -> None:
    command = [*ONLY_OWN, sys.executable, "-m", "lofi_daemon"]
    environment = {"LOFI_AUDIO_DEVICE": "null", **closed}
    with DaemonProcess(tmp_path / "home", command=command, environment=environment) as daemon:
        backends = {each["type"]: each for each in daemon.request("get_backends")["backends"]}
        assert backends["demo"]["status"] == "ready"
        for name in ("ace_step", "ace_step_15", "musicgen"):
            unread = "cannot be read: Permission denied" in str(backends[name].get("error"))
            assert unread == (place in ("models", "cache", "all of it"))
            assert (backends[name]["status"] == "error") == unread
        daemon.request("status")
        daemon.request("radio_presets")
        track_id = daemon.request("generate", prompt="rain", duration_sec=5, inference_steps=1)[
            "track_id"
        ]
        word = daemon.final(track_id)
        # where neither the cache nor the user's data may be written, the memory of the system is
        assert word["method"] == "generation_complete", word
        daemon.request("radio_start", prompts=["rain"], duration_sec=5, inference_steps=1)
        daemon.notification("playback_started")
        assert daemon.close() == 0
        assert "Traceback" not in daemon.log()


def test_the_radio_in_a_terminal(tmp_path: Path, closed: dict[str, str]) -> None:
    radio = ("radio", "rain", "--duration", "6")
    terminal = Terminal(tmp_path, *radio, variables=closed, before=ONLY_OWN)
    terminal.until("▶ rain")
    terminal.press("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.written
