"""Programs that the plugin starts work in its own folder, whatever lies in the editor's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.nvim.conftest import ROOT, Editor
from tests.nvim.test_daemon import executable
from tests.nvim.test_health import health

# Modules that every start of Python or of the daemon imports; anybody may have such files.
PLANTED = ("token.py", "signal.py", "asyncio.py", "lofi_daemon/__init__.py", "venv.py", "pip.py")


@pytest.fixture
def project(editor: Editor, tmp_path: Path) -> Path:
    """A stranger's folder, in which the editor is; every module leaves a trace where it runs."""
    folder = tmp_path / "project"
    for name in PLANTED:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        trace = folder / (name.replace("/", ".") + ".ran")
        path.write_text(f"open({str(trace)!r}, 'w').close()\nraise SystemExit(1)\n")
    editor.command(f"cd {folder}")
    return folder


def ran(project: Path) -> list[str]:
    return sorted(path.name for path in project.glob("*.ran"))


def test_the_daemon_and_the_doctor(editor: Editor, project: Path) -> None:
    editor.setup(
        cmd=[sys.executable, "-m", "lofi_daemon"],
        env={"PYTHONPATH": str(ROOT / "src"), "LOFI_AUDIO_DEVICE": "null"},
        startup_timeout_ms=60000,
    )
    report = health(editor)
    assert ran(project) == []
    assert "OK it runs: version" in report
    assert "OK Python 3." in report, "the doctor has answered"


def test_the_installation(editor: Editor, project: Path, tmp_path: Path) -> None:
    """It ends at once where nothing is found; the folder of a real one is big."""
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    editor.lua("_G.root = ...", str(plugin))
    editor.lua("require('lofi.discovery').plugin_root = function() return root end")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *venv*) set -- -m venv --help;; esac\n'
        f'pwd >> {tmp_path}/places\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    editor.lua("vim.env.PATH = ...", f"{python.parent}:/usr/bin:/bin")
    editor.command("Lofi install")
    editor.until_noticed("failed")
    assert ran(project) == []
    assert set((tmp_path / "places").read_text().splitlines()) == {str(plugin)}


def test_a_program_given_by_a_relative_path_is_sought_from_the_editor(
    editor: Editor, project: Path
) -> None:
    executable(project / "bin" / "lofi-daemon")
    editor.setup(cmd=["bin/lofi-daemon"])
    assert "OK it runs: version 0.0-fake" in health(editor)


def test_there_is_no_other_way() -> None:
    ways = ("vim.system", "jobstart", "uv.spawn", "vim.fn.system", "io.popen", "os.execute")
    files = [*(ROOT / "lua").rglob("*.lua"), *(ROOT / "plugin").rglob("*.lua"), ROOT / "build.lua"]
    found = [
        path.name for path in files if any(f"{way}" in path.read_text("utf-8") for way in ways)
    ]
    assert found == ["child.lua"]
