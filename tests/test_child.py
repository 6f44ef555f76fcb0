"""Processes that we start: what they import, where they are, what they are told."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lofi_daemon import leash
from lofi_daemon.child import NETWORK, SOUND, Companion, child, program
from tests.daemon_process import DaemonProcess
from tests.models.hub_server import HubServer

# Modules of the standard library that a start imports; anybody may have files of these names.
PLANTED = ("token", "tempfile", "asyncio", "signal", "numpy", "filelock", "lofi_daemon")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A stranger's folder, every module of which leaves a trace when it is run."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in PLANTED:
        trace = folder / f"{name}.ran"
        (folder / f"{name}.py").write_text(f"open({str(trace)!r}, 'w')\nraise SystemExit(1)\n")
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """What an installed `lofi-daemon` is; its folder, not the working one, is searched first."""
    path = tmp_path / "bin" / "lofi-daemon"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nfrom lofi_daemon.__main__ import main\nmain()\n")
    path.chmod(0o755)
    return path


def test_nothing_of_the_working_folder_is_run(
    planted: Path, script: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hub = HubServer()
    request.addfinalizer(hub.close)
    environment = {"HF_ENDPOINT": hub.endpoint, "LOFI_AUDIO_DEVICE": "null"}
    launcher = f"cd {planted} && exec {script}"
    with DaemonProcess(
        tmp_path / "home", command=["sh", "-c", launcher], environment=environment
    ) as daemon:
        daemon.request("download_backend", backend="ace_step")
        daemon.notification("download_error", backend="ace_step")
        daemon.request("audio_devices")  # starts the player
    assert [path.name for path in planted.glob("*.ran")] == []


def test_a_child_finds_what_its_parent_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the parent's modules lie in a folder that only it was told of."""
    (tmp_path / "known.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    told = child("known")
    assert subprocess.run(told.command, cwd=told.folder, env=told.environment).returncode == 0


def test_a_working_folder_that_is_gone_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert child("lofi_daemon.player").folder.is_dir()


def test_a_token_is_for_downloads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")
    for name in (*secrets, "PYTHONSTARTUP", "PULSE_SERVER", "https_proxy"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    player = child("lofi_daemon.player", also=SOUND).environment
    assert {"HOME", "PATH", "XDG_RUNTIME_DIR", "PULSE_SERVER"} <= set(player)
    assert not {*secrets, "PYTHONSTARTUP", "https_proxy"} & set(player)
    download = child("lofi_daemon.models", also=NETWORK).environment
    assert {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "https_proxy"} <= set(download)
    assert not {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PULSE_SERVER"} & set(download)


KEEPER = """
import sys
from lofi_daemon.child import Companion, program
companion = Companion(program(sys.argv[1:]))
print(companion.read(100).decode(), end="", flush=True)
sys.stdin.read()
"""
# Ends neither with its input nor when it is asked to, and nor does what it starts.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(600)
"""


def group_of(leader: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == leader:
                found.append(process)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="there is no leash")
def test_a_program_ends_with_a_daemon_that_is_killed() -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, sys.executable, "-c", STUBBORN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    programs = [psutil.Process(int(each)) for each in keeper.stdout.readline().split()]
    try:
        assert len(programs) == 2
        watchers = set(group_of(programs[0].pid)) - set(programs)
        assert len(watchers) == 1
        keeper.kill()
        keeper.wait()
        _, alive = psutil.wait_procs([*programs, *watchers], timeout=leash.GRACE_SEC + 60.0)
        assert alive == []
    finally:
        keeper.kill()
        for each in programs:
            with suppress(psutil.NoSuchProcess):
                each.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no leash")
def test_a_program_that_ends_takes_its_watcher_along() -> None:
    companion = Companion(program(["sh", "-c", "echo begun; read line; exit 3"]))
    assert companion.read(100) == b"begun\n"
    (watcher,) = set(group_of(companion.process_id)) - {psutil.Process(companion.process_id)}
    assert psutil.Process(companion.process_id).children() == []
    assert companion.status is None
    companion.end_input()
    assert companion.wait(60.0)
    assert companion.status == 3
    _, alive = psutil.wait_procs([watcher], timeout=60.0)
    assert alive == []


def test_a_program_that_is_not_there_says_so() -> None:
    companion = Companion(program(["no-such-program-anywhere"]))
    assert companion.wait(60.0)
    assert companion.read_errors(1000) == b"no-such-program-anywhere: No such file or directory\n"
    assert companion.status == leash.NOT_STARTED


def test_every_process_is_started_here() -> None:
    """Nothing of the package starts one in another way."""
    root = Path(__file__).parents[1] / "src" / "lofi_daemon"
    ways = (
        "import subprocess",
        "create_subprocess",
        "os.spawn",
        "os.exec",
        "os.system",
        "os.popen",
    )
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(way in path.read_text(encoding="utf-8") for way in ways)
    ]
    assert sorted(found) == ["child.py", "leash.py"]
