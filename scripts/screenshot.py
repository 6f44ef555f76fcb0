"""Pictures of the plugin at work for the README: a real Neovim, a real daemon, a real terminal.

    python -m scripts.screenshot docs [--plugin DIRECTORY …]

Makes three short tracks with the bundled model, and writes what the terminal shows as SVG:
neovim.svg (progress and statusline), neovim-tracks.svg (the picker) and neovim-player.svg (the
small window). Needs tmux. The picker is the one that is found among the plugins whose directories
are given (snacks.nvim, telescope.nvim with plenary.nvim, fzf-lua), else Neovim's own.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.nvim.conftest import ROOT, nvim_executable
from tests.nvim.terminal import Terminal

COLUMNS, ROWS = 104, 27
PROMPTS = (
    "foggy harbour, upright bass, brushes",
    "coffee shop, warm rhodes",
    "dusty boom bap, vinyl",
)
SHOWN = "lua/lofi/status.lua"

# Neovim's own dark colours, for the cells that it leaves to the terminal
THEME = TerminalTheme(
    background=(20, 22, 27),
    foreground=(224, 226, 234),
    normal=[
        *((20, 22, 27), (255, 192, 185), (179, 246, 192), (252, 224, 148)),
        *((166, 219, 255), (255, 202, 255), (140, 248, 247), (238, 241, 248)),
    ],
)
CELL = 12.2
"""Width of a character in rich's SVG."""

CONFIGURATION = """
vim.opt.rtp:prepend("{root}")
for _, plugin in ipairs({{ {plugins} }}) do
  vim.opt.rtp:append(plugin)
end
vim.o.termguicolors = true
vim.o.number = true
vim.o.laststatus = 3
vim.o.cmdheight = 1
vim.o.swapfile = false
vim.o.statusline = " %t %m%= %{{v:lua.require'lofi'.status()}}   %l:%c "
local has_snacks, snacks = pcall(require, "snacks")
if has_snacks then
  snacks.setup({{ picker = {{ prompt = "> " }} }})
end
require("lofi").setup({{
  cmd = {{ "{python}", "-m", "lofi_daemon" }},
  env = {{ PYTHONPATH = "{root}/src", LOFI_AUDIO_DEVICE = "null", LOFI_BACKEND = "demo" }},
  status = {{ prompt_width = 40 }},
  progress = {{ style = "float" }},
  autoplay = false,
}})
"""


def save(terminal: Terminal, path: Path, title: str, columns: int = COLUMNS) -> None:
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    for line in terminal.screen(colours=True).splitlines():
        console.print(Text.from_ansi(line, no_wrap=True, end=""), crop=True)
    svg = console.export_svg(title=title, theme=THEME)
    path.write_text(
        re.sub(r'x="([\d.]+)"([^>]*textLength=")([\d.]+)("[^>]*>)((?:&#160;)+)', _shift, svg)
    )
    print(path)


def _shift(match: re.Match[str]) -> str:
    """Text that begins with blanks begins after them instead: some viewers leave blanks out."""
    x, between, length, end, blanks = match.groups()
    width = CELL * blanks.count("&#160;")
    return f'x="{float(x) + width:g}"{between}{float(length) - width:g}{end}'


def take(folder: Path, plugins: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        configuration = Path(home) / "init.lua"
        configuration.write_text(
            CONFIGURATION.format(
                root=ROOT,
                python=sys.executable,
                plugins=", ".join(f'"{plugin.resolve()}"' for plugin in plugins),
            )
        )
        environment = {
            "HOME": home,
            "XDG_RUNTIME_DIR": home,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "tmux-256color",
            "COLORTERM": "truecolor",
        }
        nvim = [nvim_executable(), "-i", "NONE", "-u", str(configuration), str(ROOT / SHOWN)]
        terminal = Terminal(nvim, environment, COLUMNS, ROWS)
        try:
            photograph(terminal, folder)
        finally:
            terminal.close()


def photograph(terminal: Terminal, folder: Path) -> None:
    terminal.until("status.lua")
    for prompt in PROMPTS:
        terminal.type(f":Lofi {prompt} duration=60 steps=4", "Enter")
        terminal.until(f"✓ {prompt[:10]}", 600)
    terminal.type(":Lofi play foggy", "Enter")
    terminal.until("▶ 0:0")
    terminal.type(":Lofi rainy night, rhodes, vinyl crackle duration=60 steps=8", "Enter")
    terminal.until("███░░░░░", 300)
    terminal.type(":echo", "Enter")
    save(terminal, folder / "neovim.svg", ":Lofi rainy night, rhodes, vinyl crackle")
    terminal.type(":Lofi player", "Enter")
    terminal.until("space pause", 60)
    terminal.until("volume 50%", 60)
    save(terminal, folder / "neovim-player.svg", ":Lofi player")
    terminal.type("q")
    terminal.type(":Lofi tracks", "Enter")
    terminal.until("seed  ", 60)
    save(terminal, folder / "neovim-tracks.svg", ":Lofi tracks")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the README's pictures of the plugin.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plugin", type=Path, action="append", default=[], dest="plugins")
    arguments = parser.parse_args()
    take(arguments.folder, arguments.plugins)


if __name__ == "__main__":
    main()
