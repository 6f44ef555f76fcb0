"""Daemons in processes of their own, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess

StartDaemon = Callable[..., DaemonProcess]

QUICK: dict[str, Any] = {"demo": {}}


def slow(**seconds: float) -> dict[str, Any]:
    """One backend whose phases take that long; diffusing is for one step."""
    return {"demo": {"seconds": seconds}}


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """start_daemon(backends, …): all on one cache folder unless `folder` says otherwise."""
    with ExitStack() as stack:

        def start(backends: dict[str, Any] | None = QUICK, **options: Any) -> DaemonProcess:
            folder = options.pop("folder", tmp_path / "cache")
            return stack.enter_context(DaemonProcess(folder, backends=backends, **options))

        yield start
