"""Boxes: other daemons on caches of their own, behind a pipe, and scripts that only claim to be."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.protocol import Backend, GenerationRequest
from lofi_daemon.backends.remote.address import Address
from lofi_daemon.backends.remote.backend import RemoteBackend
from lofi_daemon.backends.remote.box import Box
from lofi_daemon.config import Settings, TrackFormat
from tests.daemon_process import REPOSITORY

PATHS = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
FAKES = Path(__file__).with_name("fakes.py")


class BoxMachine:
    """A second machine in a folder of its own: its cache, and the command that reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def tracks(self) -> Path:
        return self.folder / "lofi.nvim" / "tracks"

    def daemon(self, backends: Mapping[str, Any] | None = None, **variables: str) -> list[str]:
        """The real daemon; backends: tones in the place of its models (see tone_daemon)."""
        module = ["-m", "lofi_daemon"]
        if backends is not None:
            module = ["-m", "tests.tone_daemon", json.dumps(backends)]
        return [*self.environment(**variables), sys.executable, *module]

    def fake(self, kind: str, *arguments: str) -> list[str]:
        """A script that behaves in one wrong way, see fakes.py."""
        return [*self.environment(), sys.executable, str(FAKES), kind, *arguments]

    def only_while(self, missing: Path, command: list[str]) -> list[str]:
        """The command, which cannot be reached while that file is there."""
        refused = "{ echo no route to host >&2; exit 255; }"
        there = f"[ -e {shlex.quote(str(missing))} ] && {refused}"
        return ["sh", "-c", f"{there}; exec {shlex.join(command)}"]

    def environment(self, **variables: str) -> list[str]:
        home = str(self.folder)
        names = {
            "PYTHONPATH": PATHS,
            "XDG_CACHE_HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_DATA_HOME": home,
            "XDG_RUNTIME_DIR": home,
            "LOFI_AUDIO_DEVICE": "null",
            **variables,
        }
        return ["env", *(f"{name}={value}" for name, value in names.items())]

    def processes(self) -> list[psutil.Process]:
        """What runs on it, and what reaches it from here."""
        mark = f"XDG_RUNTIME_DIR={self.folder}"
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("XDG_RUNTIME_DIR") == str(self.folder)
                if (home or mark in process.cmdline()) and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def is_quiet(self, within_sec: float = 20.0) -> None:
        """Nothing of it runs any more, soon; fails the test otherwise."""
        deadline = time.monotonic() + within_sec
        while running := self.processes():
            assert time.monotonic() < deadline, running
            time.sleep(0.05)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BoxMachine]:
    machine = BoxMachine(tmp_path / "box")
    yield machine
    for process in machine.processes():
        process.kill()


MakeRemote = Callable[..., RemoteBackend]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[MakeRemote]:
    """remote(command, track_format="wav16"): the bundled model, or another one, on that box."""
    made: list[RemoteBackend] = []

    def make(
        command: list[str], track_format: TrackFormat = "wav16", inner: Backend | None = None
    ) -> RemoteBackend:
        address = Address("gpubox", tuple(command), "ssh gpubox lofi-daemon")
        there = Box(address, tmp_path / "remote.json")
        made.append(RemoteBackend(inner or demo_backend(Settings()), there, track_format))
        return made[-1]

    yield make
    for backend in made:
        backend.unload()


def request(seed: int = 1, duration_sec: float = 5.0, **options: Any) -> GenerationRequest:
    from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions

    return GenerationRequest("rain, rhodes", duration_sec, seed, DiffusionOptions(**options))
