"""What all tests have in common: the line about those that this machine could not run."""

from __future__ import annotations

import pytest

from tests.system import summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    reasons = [str(each.longrepr[2]) for each in skipped if isinstance(each.longrepr, tuple)]
    told = summary(reasons)
    if told is not None:
        terminalreporter.write_line(told, yellow=True)
