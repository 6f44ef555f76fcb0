"""What all tests have in common: the line about those that this machine could not run."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest

from tests.system import summary

# what the tests play is nothing for the desktop that they run on
os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
os.environ.pop("DISPLAY", None)


@pytest.fixture(autouse=True)
def no_terminal_outlives_its_test() -> Generator[None, None, None]:
    yield
    terminals = sys.modules.get("tests.terminal.pseudo_terminal")
    if terminals is not None:  # which cannot be imported everywhere
        terminals.kill_all()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """After all else that is told at the end."""
    yield
    skipped = terminalreporter.getreports("skipped")
    reasons = [str(each.longrepr[2]) for each in skipped if isinstance(each.longrepr, tuple)]
    told = summary(reasons)
    if told is not None:
        terminalreporter.write_line(told, yellow=True)
