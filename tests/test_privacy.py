"""What needs no network opens none, and leaves nothing in HOME but what README says it does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tiny_musicgen
from tests.daemon_process import REPOSITORY
from tests.player.signals import music, write
from tests.system import require

PATIENCE_SEC = 180.0
GENERATE = ("--prompt", "rain", "--backend", "demo", "--duration", "5", "--steps", "1")
# A user who wants telemetry elsewhere has not asked for it here.
WILLING = {"ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "DO_NOT_TRACK": "0"}


def python(home: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A Python of ours in an empty home, traced; it leads a group of its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOFI_AUDIO_DEVICE": "null",
        **WILLING,
        **variables,
    }
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*_tracer(home), sys.executable, *arguments],
        env=environment,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def lofi(home: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return python(home, "-m", "lofi_daemon", *arguments, **variables)


def finished(process: subprocess.Popen[str], status: int = 0) -> str:
    said, _ = process.communicate(timeout=PATIENCE_SEC)
    assert process.returncode == status, said
    return said


def _tracer(home: Path) -> list[str]:
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            require("strace")
        return []
    return ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(home.with_suffix(".trace"))]


def assert_private(home: Path) -> None:
    """The home holds nothing beside the documented folder, and no network socket was made."""
    left = [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()]
    assert [path for path in left if not path.startswith(".cache/lofi.nvim/")] == []
    assert sockets(home) - {"AF_UNIX"} == set()


def sockets(home: Path) -> set[str]:
    """The families of the sockets that were made; none where nothing can trace."""
    trace = home.with_suffix(".trace")
    text = trace.read_text() if trace.exists() else ""
    return set(re.findall(r"\bsocket(?:pair)?\((\w+)", text))


def _until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_socket_would_be_seen(home: Path) -> None:
    if not _tracer(home):
        require("strace")
    program = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    finished(python(home, "-c", program))
    assert "AF_INET" in sockets(home)


def test_a_track(home: Path, tmp_path: Path) -> None:
    finished(lofi(home, *GENERATE, "--output", str(tmp_path / "x.wav")))
    assert_private(home)


@pytest.mark.parametrize("command", ["doctor", "backends"])
def test_looking(home: Path, command: str) -> None:
    finished(lofi(home, command))
    assert_private(home)


def test_playing_a_file(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", music(1.0))
    finished(lofi(home, "play", str(tmp_path / "x.wav")))
    assert_private(home)


def test_making_files_smaller(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_musicgen.published_folder(), folder)
    command = ("quantize", "musicgen", "--bits", "8")
    finished(lofi(home, *command, LOFI_MODEL_PATH=str(folder)))
    assert_private(home)


def test_a_radio(home: Path) -> None:
    process = lofi(home, "radio", "rain", "--duration", "5", "--steps", "1")
    tracks = home / ".cache/lofi.nvim/tracks"
    _until(lambda: any(tracks.glob("*.json")), process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_SEC)
    assert_private(home)


def test_the_daemon(home: Path) -> None:
    process = lofi(home)
    requests = [
        {"method": "get_backends"},
        {"method": "generate", "params": {"prompt": "rain", "duration_sec": 5, "backend": "demo"}},
    ]
    requests[1]["params"]["inference_steps"] = 1  # type: ignore[index]
    assert process.stdin is not None
    assert process.stdout is not None
    for number, request in enumerate(requests):
        print(json.dumps({"jsonrpc": "2.0", "id": number, **request}), file=process.stdin)
    process.stdin.flush()
    for line in process.stdout:
        if "generation_complete" in line:
            break
    print(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "play"}), file=process.stdin)
    process.stdin.flush()
    for line in process.stdout:
        if "playback_started" in line:
            break
    finished(process)
    assert_private(home)


@pytest.mark.parametrize("package", ["tests", "scripts", "benchmarks"])
def test_a_program_of_the_repository(home: Path, package: str) -> None:
    """Whatever it imports first: its package was there before."""
    program = f"import {package}, os; print(*(os.environ[n] for n in {list(WILLING)}))"
    assert finished(python(home, "-c", program)).split() == ["1", "1", "1"]
