"""A session bus of the tests' own, and playerctl on it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.system import require

PATIENCE_SEC = 30.0
PlayerCtl = Callable[..., str]


@pytest.fixture
def bus() -> Iterator[str]:
    """The address of a session bus that ends with the test."""
    require("dbus-run-session")
    process = subprocess.Popen(
        ["dbus-run-session", "--", "sh", "-c", 'echo "$DBUS_SESSION_BUS_ADDRESS"; exec cat'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate(timeout=PATIENCE_SEC)


@pytest.fixture
def playerctl(bus: str) -> PlayerCtl:
    """playerctl(arguments…): what it prints, or what it complains of."""
    require("playerctl")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["playerctl", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SEC,
            check=False,
            env={"DBUS_SESSION_BUS_ADDRESS": bus, "PATH": "/usr/bin:/bin"},
        )
        return (done.stdout or done.stderr).strip()

    return run
