"""What LOFI_REMOTE may say, and what becomes of it."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.remote.address import address_of
from lofi_daemon.config import load_settings
from lofi_daemon.errors import BackendNotInstalled, ConfigurationError, InvalidBackend

ADDED = (
    *("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),
)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("ssh gpubox lofi-daemon", "gpubox"),
        ("/usr/bin/ssh -p 2222 -i key -4 me@gpubox nice lofi-daemon serve", "gpubox"),
        ("ssh -p2222 -vi key -o X=y ssh://me@gpubox -- lofi-daemon", "gpubox"),
    ],
)
def test_ssh_asks_nothing_and_notices_a_dead_link(command: str, name: str) -> None:
    words = command.split()
    address = address_of(words)
    assert address.name == name
    assert address.command == (words[0], *ADDED, *words[1:])
    assert address.written == command


def test_what_the_user_says_to_ssh_is_not_said_again() -> None:
    said = "ssh -o ServerAliveInterval=60 -oBatchMode=no gpubox lofi-daemon"
    command = address_of(said.split()).command
    assert sum("ServerAliveInterval" in word for word in command) == 1
    assert sum("BatchMode" in word for word in command) == 1
    assert "ServerAliveCountMax=3" in command


@pytest.mark.parametrize("command", ["ssh", "ssh gpubox", "ssh -p 22 gpubox", "ssh -t"])
def test_nothing_of_ours_is_written_to_a_shell(command: str) -> None:
    with pytest.raises(ConfigurationError, match="no command for the other machine") as raised:
        Registry(load_settings({"LOFI_REMOTE": command}))
    assert "LOFI_REMOTE" in raised.value.hint


def test_any_other_command_is_run_as_it_is() -> None:
    command = ("docker", "exec", "-i", "box", "lofi-daemon")
    assert address_of(command).command == command
    assert address_of(command).name == "docker exec -i box lofi-daemon"
    assert len(address_of(("x" * 100,)).name) == 40


def test_which_backends_are_there() -> None:
    remote = {"LOFI_REMOTE": "ssh gpubox lofi-daemon"}

    def places(environment: dict[str, str]) -> dict[str, str]:
        registry = Registry(load_settings(environment))
        return {backend.info.type: backend.info.place for backend in registry}

    assert set(places({}).values()) == {"here"}
    there = places(remote)
    assert there.pop("demo") == "here"
    assert set(there.values()) == {"gpubox"}
    some = places({**remote, "LOFI_REMOTE_BACKENDS": " demo, musicgen"})
    assert {name for name, place in some.items() if place == "gpubox"} == {"demo", "musicgen"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"LOFI_REMOTE": "ssh 'gpubox"},
        {"LOFI_REMOTE": "ssh gpubox lofi-daemon", "LOFI_REMOTE_BACKENDS": "demo,nonsense"},
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=list(wrong)[-1]):
        Registry(load_settings(wrong))


def test_its_files_are_not_downloaded_here() -> None:
    registry = Registry(load_settings({"LOFI_REMOTE": "ssh gpubox lofi-daemon"}))
    with pytest.raises(InvalidBackend, match="its files are there") as raised:
        registry.files("ace_step")
    assert "gpubox" in raised.value.hint
    assert registry.downloadable == []


def test_a_model_that_is_not_installed_there() -> None:
    from dataclasses import replace

    from lofi_daemon.backends.protocol import Availability

    registry = Registry(load_settings({"LOFI_REMOTE": "ssh gpubox lofi-daemon"}))
    choice = replace(registry.choose("ace_step"), availability=Availability(installed=False))
    with pytest.raises(BackendNotInstalled, match="not installed on gpubox") as raised:
        choice.raise_if_unusable()
    assert "on gpubox" in raised.value.hint
