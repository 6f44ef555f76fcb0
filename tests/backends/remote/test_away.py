"""A daemon whose box is away: instant answers, plain words, and music all the same."""

from __future__ import annotations

import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lofi_daemon.config import Settings
from lofi_daemon.rpc import server
from tests.backends.remote.conftest import BoxMachine
from tests.daemon_process import PATIENCE_SEC, DaemonProcess

BACKENDS: dict[str, Any] = {"full": {"full_model": True}, "demo": {}}
# Much less than a box that does not answer takes to be given up.
INSTANT_SEC = 10.0


class Laptop:
    """Daemons on one cache, the full model on whatever the command reaches."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def daemon(self, command: list[str], **variables: str) -> DaemonProcess:
        environment = {
            "LOFI_REMOTE": shlex.join(command),
            "LOFI_AUDIO_DEVICE": "null",
            "XDG_RUNTIME_DIR": str(self.folder),
            **variables,
        }
        daemon = DaemonProcess(self.folder, backends=BACKENDS, environment=environment)
        return self._stack.enter_context(daemon)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    with ExitStack() as stack:
        yield Laptop(tmp_path / "laptop", stack)


def full(daemon: DaemonProcess) -> dict[str, Any]:
    backends = daemon.request("get_backends")["backends"]
    return next(each for each in backends if each["type"] == "full")


def until_known(daemon: DaemonProcess) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SEC
    while (told := full(daemon))["status"] != "ready":
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def test_what_is_told_while_nothing_is_known(laptop: Laptop, box: BoxMachine) -> None:
    daemon = laptop.daemon(box.fake("mute"))
    began = time.monotonic()
    daemon.request("ping")
    told = full(daemon)
    assert told["status"] == "error"
    assert told["place"].startswith("env PYTHONPATH=")
    assert "has not told yet" in told["error"]
    error = daemon.error("generate", prompt="rain", backend="full")
    assert (error["code"], error["data"]["code"]) == (-32017, "REMOTE_UNAVAILABLE")
    ticket = daemon.request("generate", prompt="rain", duration_sec=5)
    assert ticket["backend"] == "demo"  # nobody named one, and this one is here
    assert daemon.final(ticket["track_id"])["method"] == "generation_complete"
    assert time.monotonic() - began < INSTANT_SEC + PATIENCE_SEC / 2
    daemon.close()  # what reaches the box does not notice that its input has ended
    box.is_quiet()


def test_what_was_told_is_remembered_while_the_box_is_away(
    laptop: Laptop, box: BoxMachine, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    command = box.only_while(away, box.daemon(BACKENDS))
    first = laptop.daemon(command)
    told = until_known(first)
    assert {option["name"]: option["default"] for option in told["options"]}["scheduler"] == "euler"
    assert (told["model_version"], told["place"] != "here") == ("1", True)
    first.close()
    away.touch()
    daemon = laptop.daemon(command)
    began = time.monotonic()
    ticket = daemon.request("generate", prompt="rain", duration_sec=5)
    assert ticket["backend"] == "full"
    assert time.monotonic() - began < INSTANT_SEC
    final = daemon.final(ticket["track_id"])
    assert final["method"] == "generation_error"
    assert final["params"]["code"] == "REMOTE_UNAVAILABLE"
    assert "no route to host" in final["params"]["message"]
    away.unlink()
    again = daemon.request("generate", prompt="rain", duration_sec=5, seed=2, play="early")
    assert daemon.final(again["track_id"])["method"] == "generation_complete"
    # it is heard when it is whole
    assert daemon.notification("playback_started", track_id=again["track_id"])["complete"]
    daemon.close()
    box.is_quiet()


def test_the_radio_goes_on_without_the_box(laptop: Laptop, box: BoxMachine, tmp_path: Path) -> None:
    away = tmp_path / "away"
    daemon = laptop.daemon(box.only_while(away, box.daemon(BACKENDS)))
    until_known(daemon)
    daemon.request("radio_start", prompts=["rain", "snow"], duration_sec=5, ahead=2)
    daemon.notification("generation_complete", backend="full")
    away.touch()
    for process in box.processes():
        process.kill()
    told = daemon.notification("radio_fallback")
    assert (told["backend"], told["code"]) == ("demo", "REMOTE_UNAVAILABLE")
    assert "no route to host" in told["message"]
    before = len(daemon.notifications("generation_complete", backend="demo"))
    played = len(daemon.notifications("playback_started"))

    def goes_on(_: object) -> bool:
        made = len(daemon.notifications("generation_complete", backend="demo"))
        heard = len(daemon.notifications("playback_started"))
        return made > before and heard > played + 1

    daemon.wait_for(goes_on, timeout=2 * PATIENCE_SEC)
    assert len(daemon.notifications("radio_fallback")) == 1
    daemon.request("radio_stop")


def test_a_radio_of_a_box_that_never_told_anything(laptop: Laptop, box: BoxMachine) -> None:
    daemon = laptop.daemon(box.fake("refuses"))
    daemon.request("radio_start", prompts=["rain"], duration_sec=5, backend="full")
    told = daemon.notification("radio_fallback")
    assert told["code"] == "REMOTE_UNAVAILABLE"
    assert daemon.notification("playback_started")["prompt"] == "rain"
    daemon.request("radio_stop")


def test_nothing_runs_on_after_the_daemon_was_killed(laptop: Laptop, box: BoxMachine) -> None:
    daemon = laptop.daemon(
        box.daemon({"full": {"full_model": True, "seconds": {"encoding": 60.0}}})
    )
    until_known(daemon)
    ticket = daemon.request("generate", prompt="rain", duration_sec=5)
    daemon.notification("generation_progress", track_id=ticket["track_id"], phase="encoding")
    daemon.kill()
    box.is_quiet()
    shutil.rmtree(box.folder, ignore_errors=True)


def test_a_box_that_ignores_its_end_is_ended_with_the_daemon(
    laptop: Laptop, box: BoxMachine
) -> None:
    """`mute` reads nothing, and so does not notice that its input has ended."""
    daemon = laptop.daemon(box.fake("mute"))
    full(daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    box.is_quiet()


def test_a_loop_that_breaks_leaves_no_box_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    async def breaks(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(
        server, "Registry", lambda *_: SimpleNamespace(leave=lambda: left.append("box"))
    )
    monkeypatch.setattr(server, "guard_stdio", lambda: None)
    monkeypatch.setattr(server, "show_log", lambda *_: None)
    monkeypatch.setattr(server, "_serve", breaks)
    with pytest.raises(RuntimeError, match="a defect"):
        server.serve(Settings())
    assert left == ["box"]
