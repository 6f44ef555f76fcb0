from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nvim.conftest import FAKE_DAEMON, ROOT
from tests.nvim.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path, neovim: str) -> Iterator[Terminal]:
    command = [sys.executable, "-S", "-E", str(FAKE_DAEMON), "slow"]
    options = json.dumps({"cmd": command, "picker": "select", "progress": {"style": "float"}})
    configuration = tmp_path / "init.lua"
    configuration.write_text(
        f"""
        vim.opt.rtp:prepend("{ROOT}")
        vim.g.lofi = vim.json.decode([==[{options}]==])
        vim.o.laststatus = 2
        vim.o.statusline = "%f %= %{{v:lua.require'lofi'.status()}} "
        """
    )
    environment = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "screen-256color",
    }
    nvim = [neovim, "-n", "-i", "NONE", "-u", str(configuration)]
    started = Terminal(nvim, environment)
    started.until("[No Name]")
    yield started
    assert "Press ENTER" not in started.screen()
    started.close()


def test_what_a_person_sees(terminal: Terminal) -> None:
    terminal.type(":Lofi radio", "Enter")
    terminal.until("▶ 0:0")
    terminal.type(":Lofi foggy harbour", "Enter")
    terminal.until("/1:00 radio track 1 ◌ 45%")
    lines = terminal.screen().splitlines()
    bar = next(line for line in lines if "████░░░░" in line)
    assert "foggy harbour: diffusing 9/20" in bar
    status = next(line for line in lines if line.startswith("[No Name]"))
    assert lines.index(bar) == lines.index(status) - 1, "the corner is above the statusline"

    terminal.type("i", "typing goes on")
    terminal.until("typing goes on")
    terminal.type("Escape")

    terminal.until("✓ foggy harbour: 0:30 of music")
    terminal.until("/0:30 foggy harbour")
    terminal.type(":Lofi tracks", "Enter")
    screen = terminal.until("1:   foggy harbour")
    assert "0:30  ▁▂▂▃▄▄▅▆▆▇██  2026-03-01" in screen
    terminal.type("1", "Enter")
    screen = terminal.until("Generate again, new seed")
    terminal.type("q", "Enter")

    terminal.type(":Lofi status", "Enter")
    screen = terminal.until("Player   playing")
    assert "Cache    1 tracks" in screen
    assert "╭─" in screen


def test_the_next_seconds_appear_without_a_key(terminal: Terminal) -> None:
    terminal.type(":Lofi radio", "Enter")
    terminal.until("▶ 0:01/1:00")
    terminal.until("▶ 0:02/1:00")


def test_tab_offers_what_there_is(terminal: Terminal) -> None:
    terminal.type(":set wildmode=full wildoptions=pum", "Enter")
    terminal.type(":Lofi re", "Tab")
    screen = terminal.until("restart")
    assert "resume" in screen
