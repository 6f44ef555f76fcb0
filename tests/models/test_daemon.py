"""Downloads through the daemon: started once, watched, cancelled, told of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
