"""Downloads through the daemon: started once, watched, cancelled, told of."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from lofi_daemon.backends.ace_step.files import AceStepConfiguration, AceStepFiles
from lofi_daemon.child import Child
from lofi_daemon.models.download_processes import (
    DownloadEvent,
    DownloadFailed,
    DownloadProcesses,
)
from lofi_daemon.rpc.methods.backends import tell_of_download
from lofi_daemon.rpc.notifications import Notifier
from tests.daemon_process import DaemonProcess, Json
from tests.models.conftest import assert_installed
from tests.models.hub_server import HubRepository, HubServer

WEIGHTS = "ace-step/transformer_decoder_weights.bin"


@pytest.fixture
def daemon(hub_server: HubServer, tmp_path: Path) -> Iterator[DaemonProcess]:
    environment = {"HF_ENDPOINT": hub_server.endpoint, "LOFI_BACKEND": ""}
    with DaemonProcess(tmp_path / "home", environment=environment) as process:
        yield process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home/lofi.nvim/ace-step"


def _ace_step(daemon: DaemonProcess) -> Json:
    backends = daemon.request("get_backends")["backends"]
    return next(each for each in backends if each["type"] == "ace_step")


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in 30 s"
        time.sleep(0.01)


def test_a_download_ends_in_a_ready_backend(
    hub: HubRepository, daemon: DaemonProcess, folder: Path
) -> None:
    hub.bytes_per_sec = 1_000_000
    assert _ace_step(daemon)["status"] == "not_installed"
    first = daemon.request("download_backend", backend="ace_step")
    again = daemon.request("download_backend", backend="ace_step")
    assert first == {"started": True, "already_installed": False}
    assert again == {"started": False, "already_installed": False}
    assert _ace_step(daemon)["status"] == "downloading"
    daemon.notification("download_complete", backend="ace_step")
    assert _ace_step(daemon)["status"] == "ready"
    assert_installed(folder, hub.files)
    progress = daemon.notifications("download_progress")[-1]["params"]
    assert progress["overall_percent"] == 100
    assert progress["bytes_total"] == sum(map(len, hub.files.values()))
    assert sum("/main/" in request for request in hub.requests) == 1
    finished = daemon.request("download_backend", backend="ace_step")
    assert finished == {"started": False, "already_installed": True}


def test_a_stalled_download_is_cancelled_at_once_and_goes_on_later(
    hub: HubRepository, daemon: DaemonProcess, folder: Path
) -> None:
    hub.fail(WEIGHTS, "stall")
    daemon.request("download_backend", backend="ace_step")
    _wait_until(lambda: hub.body_bytes_sent.get(WEIGHTS, 0) >= len(hub.files[WEIGHTS]) // 2)
    cancelled = daemon.request("cancel", backend="ace_step")
    assert cancelled == {"cancelled": True, "was_generating": False}
    assert _ace_step(daemon)["status"] == "not_installed"
    daemon.request("download_backend", backend="ace_step")
    daemon.notification("download_complete", backend="ace_step")
    assert_installed(folder, hub.files)
    assert hub.bytes_sent <= 1.1 * sum(map(len, hub.files.values()))


def test_a_failed_download_is_told_once_with_what_to_do(
    hub: HubRepository, daemon: DaemonProcess
) -> None:
    hub.fail(WEIGHTS, "404")
    daemon.request("download_backend", backend="ace_step")
    error = daemon.notification("download_error", backend="ace_step")
    assert error["code"] == "MODEL_DOWNLOAD_FAILED"
    assert "transformer_decoder_weights.bin" in error["message"]
    assert _ace_step(daemon)["status"] == "not_installed"


def test_cancelling_nothing_is_an_error(hub: HubRepository, daemon: DaemonProcess) -> None:
    error = daemon.error("cancel", backend="ace_step")
    assert error["data"]["code"] == "INVALID_PARAMS"


def test_the_download_ends_with_the_daemon(
    hub: HubRepository, daemon: DaemonProcess, folder: Path
) -> None:
    hub.bytes_per_sec = 100_000
    daemon.request("download_backend", backend="ace_step")
    _wait_until(lambda: hub.bytes_sent > 50_000)
    daemon.close()
    time.sleep(0.3)
    sent = hub.bytes_sent
    time.sleep(0.5)
    assert hub.bytes_sent == sent
    assert not (folder / "installed.json").exists()


def test_a_download_is_there_from_the_moment_it_is_accepted(
    hub: HubRepository, tmp_path: Path
) -> None:
    """Nobody answers at the Hub's address, and that takes a while to find out."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with DaemonProcess(tmp_path / "home", environment={"HF_ENDPOINT": endpoint}) as daemon:
            daemon.request("download_backend", backend="ace_step")
            begun = daemon.notification("download_progress", backend="ace_step")
            assert begun["overall_percent"] == 0
            assert _ace_step(daemon)["status"] == "downloading"
            assert daemon.request("cancel", backend="ace_step")["cancelled"]
            assert _ace_step(daemon)["status"] == "not_installed"


@pytest.mark.parametrize(
    "program",
    {
        "nonsense": "print('Downloading ...')",
        "another shape": "print('[1, 2]')",
        "nothing known": "print('{\"hello\": 1}')",
        "half an error": "print('{\"error\": {}}')",
        "figures of another kind": 'print(\'{"progress": {"bytes": 1}}\')',
        "no UTF-8": "import sys; sys.stdout.buffer.write(b'\\xff\\n')",
        "a line without end": "print('x' * 200_000)",
        "deeper than anything": "print('[' * 50_000)",
        "silence": "",
        "a death": "import os; os.kill(os.getpid(), 9)",
        "no program": None,
    }.items(),
    ids=lambda case: case[0],
)
def test_whatever_ends_a_download_is_told(
    program: tuple[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = program[1]
    command = ("/no/such/python",) if text is None else (sys.executable, "-c", text)
    told = Child(command, tmp_path, dict(os.environ))
    monkeypatch.setattr("lofi_daemon.models.download_processes.child", lambda *args, **kwargs: told)
    events: list[DownloadEvent] = []

    def on_event(event: DownloadEvent) -> None:
        tell_of_download(Notifier(Mock()), event)
        events.append(event)

    async def download() -> None:
        downloads = DownloadProcesses(on_event)
        downloads.start(AceStepFiles(tmp_path, AceStepConfiguration()))
        while downloads.is_running("ace_step"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(download(), 60.0))
    assert isinstance(events[-1], DownloadFailed)
    assert events[-1].error.name == "MODEL_DOWNLOAD_FAILED"
