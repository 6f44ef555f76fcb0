"""What the machine lacks is named, and the tests that need it are left out, but never in CI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import system
from tests.daemon_process import REPOSITORY

TESTS = """
from tests.system import require
def test_here(): pass
def test_one(): require("tmux")
def test_two(): require("pactl", "parec")
"""


def run_bare(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """pytest on a machine with nothing in its PATH."""
    (folder / "test_x.py").write_text(TESTS)
    (folder / "conftest.py").write_text("from tests.conftest import *")
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env={**environment, "PATH": str(folder), "PYTHONPATH": str(REPOSITORY), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_missing_is_left_out_and_told_in_one_line(tmp_path: Path) -> None:
    result = run_bare(tmp_path)
    assert result.returncode == 0, result.stdout
    assert "1 passed, 2 skipped" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "were left out" in line]
    assert line.startswith("2 tests were left out")
    assert "apt-get install pulseaudio-utils" in line
    assert "apt-get install tmux" in line


def test_in_ci_nothing_may_be_missing(tmp_path: Path) -> None:
    result = run_bare(tmp_path, CI="true")
    assert result.returncode == 1
    assert "2 failed, 1 passed" in result.stdout


def test_what_is_missing_is_installed_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    for name in ("apt-get", "sudo", "env"):
        program = tmp_path / name
        skip = {"sudo": 'shift; exec "$@"', "env": 'shift; exec "$@"'}.get(name, "")
        program.write_text(f"#!/bin/sh\n{skip or 'echo $* >> ' + str(asked)}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(system, "PACKAGES", {"no-such-program": "no-such-package"})
    for user in (0, 1000):
        asked.write_text("")
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        system.install()
        update, install = asked.read_text().splitlines()
        assert update == "-q update"
        assert install == "-q install -y --no-install-recommends no-such-package"
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    asked.write_text("")
    system.install()
    assert asked.read_text() == ""


MAKE = """#!/bin/sh
mkdir -p .pytest_cache/v/cache
echo '%s' > .pytest_cache/v/cache/lastfailed
exit 2
"""


@pytest.mark.parametrize(
    ("failed", "again", "status"), [(0, 0, 2), (1, 0, 0), (3, 0, 0), (1, 1, 1), (4, 0, 1)]
)
def test_a_second_chance_is_told_and_more_than_three_are_a_failure(
    tmp_path: Path, failed: int, again: int, status: int
) -> None:
    names = [f"tests/test_{number}.py::test" for number in range(failed)]
    pytest_itself = tmp_path / ".venv" / "bin" / "python"
    pytest_itself.parent.mkdir(parents=True)
    pytest_itself.write_text(f"#!/bin/sh\nexit {again}\n")
    (tmp_path / "make").write_text(MAKE % json.dumps(dict.fromkeys(names, True)))
    for program in (pytest_itself, tmp_path / "make"):
        program.chmod(0o755)
    result = subprocess.run(
        [sys.executable, str(REPOSITORY / ".ci" / "second_chance")],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status, result.stdout
    assert all(name in result.stdout for name in names)


def test_it_runs_before_anything_is_installed(tmp_path: Path) -> None:
    """As `make test` calls it: by Python alone, with none of the packages installed."""
    (line,) = [
        line
        for line in (REPOSITORY / "Makefile").read_text().splitlines()
        if "system" in line and line.endswith(" install") and "$(PYTHON)" in line
    ][:1]
    words = line.replace("$(PYTHON)", sys.executable).replace(" install", " packages").split()
    result = subprocess.run(
        [words[0], "-I", "-S", *words[1:]],
        cwd=REPOSITORY, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "tmux" in result.stdout
