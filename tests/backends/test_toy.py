"""A backend is one folder and one line: the toy's is found wherever a user can look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends import registry
from scripts import plugin_parameters, protocol_docs
from tests.daemon_process import REPOSITORY, DaemonProcess
from tests.models.hub_server import HubServer
from tests.toy.backend import toy_backend

NOTES = np.array([440.0, 660.0], np.float32)
Lofi = Callable[..., str]
COMMAND = [sys.executable, "-m", "tests.toy"]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    server = HubServer()
    server.serve({"toy/notes.bin": NOTES.tobytes(), "toy/readme.txt": b"Two notes."})
    yield server
    server.close()


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    return {
        "PYTHONPATH": paths,
        "HF_ENDPOINT": hub.endpoint,
        "LOFI_AUDIO_DEVICE": f"file:{tmp_path / 'heard.wav'}",
        "XDG_CACHE_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }


@pytest.fixture
def lofi(environment: dict[str, str]) -> Lofi:
    def run(*arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, **environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def loudest(sound: np.ndarray, rate: int) -> float:
    """The frequency in Hz that is heard most."""
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.argmax(spectrum) * rate / len(sound))


def test_from_the_hub_to_the_ear_over_the_wire(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    with DaemonProcess(home, command=COMMAND, environment=environment) as daemon:

        def toy() -> dict[str, object]:
            backends = daemon.request("get_backends")["backends"]
            return next(each for each in backends if each["type"] == "toy")

        assert toy()["status"] == "not_installed"
        assert {each["name"] for each in toy()["options"]} == {"wobble", "tune"}
        daemon.request("download_backend", backend="toy")
        daemon.notification("download_complete", backend="toy")
        assert (toy()["status"], toy()["model_version"]) == ("ready", "toy-fp16")
        refused = daemon.error("generate", prompt="x", backend="demo", wobble=1.0)
        assert "wobble" in refused["message"]
        refused = daemon.error("generate", prompt="x", backend="toy", wobble=10.0)
        assert "wobble" in refused["message"]
        ticket = daemon.request(
            "generate", prompt="two notes", backend="toy", duration_sec=5, seed=1, tune="down"
        )
        final = daemon.final(ticket["track_id"])
        assert final["method"] == "generation_complete", final
        told = daemon.notifications("generation_progress", track_id=ticket["track_id"])
        assert "preparing" in {each["params"]["phase"] for each in told}
        daemon.request("play", track_id=ticket["track_id"])
        daemon.notification("playback_ended", track_id=ticket["track_id"], timeout=60.0)
        (track,) = daemon.request("tracks_list")["tracks"]
        assert (track["backend"], track["model_version"]) == ("toy", "toy-fp16")
        assert track["tune"] == "down"
    heard, rate = soundfile.read(tmp_path / "heard.wav", always_2d=True)
    loud = np.flatnonzero(np.abs(heard[:, 0]) > 0.01)
    first = heard[loud[0] : loud[0] + rate, 0][: round(0.9 * rate)]
    assert loudest(first, rate) == pytest.approx(660.0, abs=3.0)
    assert len(loud) > 3 * rate


def test_the_command_line_knows_it(lofi: Lofi, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "lofi.nvim" / "toy"
    assert "toy        Toy of two notes         not installed" in lofi("backends")
    told = lofi("--help")
    assert "--wobble FLOAT" in told
    assert "toy only." in " ".join(told.split())
    assert "toy: 5 to 20" in " ".join(told.split())
    before = toy_in(lofi)
    assert (before["installed"], before["disk_bytes"]) == (False, 3_000_000_000)
    assert before["licence"].startswith("CC0-1.0")
    assert before["folder"] == str(folder)
    told = lofi("download", "toy", "--yes")
    assert f"toy-fp16 is made of it in {folder / 'fp16'}" in told
    assert "ready (toy-fp16)" in lofi("backends")
    assert toy_in(lofi)["installed"]
    assert "is whole in" in lofi("verify", "toy")
    told = lofi("quantize", "toy", "--bits", "8", "--replace")
    assert f"toy-int8 is complete in {folder / 'int8'}" in told
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == ["fp16", "int8"]
    assert "ready (toy-int8)" in lofi("backends", LOFI_TOY_VARIANT="int8")
    output = tmp_path / "track.wav"
    lofi(
        *("--prompt", "two notes", "--backend", "toy", "--duration", "5"),
        *("--seed", "1", "--output", str(output)),
        LOFI_TOY_VARIANT="int8",
    )
    sound, rate = soundfile.read(output, always_2d=True)
    assert loudest(sound[: round(0.9 * rate), 0], rate) == pytest.approx(440.0, abs=3.0)


def toy_in(lofi: Lofi) -> dict[str, object]:
    diagnosis = json.loads(lofi("doctor", "--json"))
    assert "toy: " in lofi("doctor")
    return next(each for each in diagnosis["backends"] if each["type"] == "toy")


def test_its_variables_are_checked_like_all(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "backends"],
        env={**os.environ, **environment, "LOFI_TOY_VARIANT": "int3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LOFI_TOY_VARIANT=int3" in done.stderr


def test_the_generated_pages_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FACTORIES, "toy", toy_backend)
    page = protocol_docs.render()
    assert "| `wobble` | number 0–9 or null | null | How much the notes wobble" in page
    table = plugin_parameters.render()
    assert '"demo", "toy" }' in table
    assert 'name = "wobble"' in table
    assert "toy only." in table
