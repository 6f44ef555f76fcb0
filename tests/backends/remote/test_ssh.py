"""Through a real sshd on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.backends.remote.address import address_of
from lofi_daemon.backends.remote.backend import RemoteBackend
from lofi_daemon.backends.remote.box import Box
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import RemoteUnavailable
from lofi_daemon.sound.clip import AudioClip
from tests.backends.remote.conftest import BoxMachine, request
from tests.backends.remote.test_lifecycle import Running
from tests.ssh_server import SshServer
from tests.system import require
from tests.tone_backend import ToneBackend

LONG = {"demo": {"seconds": {"encoding": 60.0}}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    require("sshd", "ssh", "ssh-keygen")
    with SshServer(tmp_path / "sshd") as server:
        yield server


def backend(tmp_path: Path, command: list[str]) -> RemoteBackend:
    there = Box(address_of(command), tmp_path / "remote.json")
    return RemoteBackend(ToneBackend(), there, "wav24")


def test_a_track_comes_through_ssh(tmp_path: Path, server: SshServer, box: BoxMachine) -> None:
    through = backend(tmp_path, server.command(box.daemon({"demo": {}})))
    clip = Running(through).end()
    assert isinstance(clip, AudioClip), clip
    inner = ToneBackend()
    mine = inner.generate(
        inner.resolve(request()), on_progress=lambda _: None, cancel=CancelToken()
    )
    full_scale = 2**23 - 1
    np.testing.assert_array_equal(
        np.rint(clip.samples * full_scale), np.rint(mine.samples.astype(float) * full_scale)
    )
    report = through._box.ask(examine=True)
    assert report.device == "cpu"
    assert report.latency_sec is not None
    through.unload()
    box.is_quiet()


def test_what_ssh_says_is_told(tmp_path: Path, server: SshServer, box: BoxMachine) -> None:
    program = box.daemon({"demo": {}})
    refused = Running(backend(tmp_path, server.command(program, key="stranger"))).end()
    assert isinstance(refused, RemoteUnavailable)
    assert "Permission denied (publickey)" in refused.message
    missing = Running(backend(tmp_path, server.command(["lofi-daemon-that-is-not-there"]))).end()
    assert isinstance(missing, RemoteUnavailable)
    assert "not found" in missing.message


def test_a_link_that_dies_without_a_word(
    tmp_path: Path, server: SshServer, box: BoxMachine
) -> None:
    keep_alive = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
    away = tmp_path / "away"
    program = box.only_while(away, box.daemon(LONG))
    running = Running(backend(tmp_path, server.command(program, *keep_alive)))
    running.reach(Phase.ENCODING)
    away.touch()  # else it would only be made again
    stopped = [each for each in server.connections() if each.name().startswith("sshd")]
    for connection in stopped:
        connection.suspend()
    try:
        error = running.end()
        assert isinstance(error, RemoteUnavailable)
        assert "no route to host" in error.message
    finally:
        for connection in stopped:
            connection.resume()
    box.is_quiet()
