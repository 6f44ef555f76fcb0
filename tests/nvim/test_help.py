from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.nvim.conftest import ROOT, Editor, nvim_executable

pytestmark = pytest.mark.one_neovim

HELP = ROOT / "doc" / "lofi.txt"


def test_it_is_what_the_tables_and_annotations_say(tmp_path: Path) -> None:
    fresh = tmp_path / "lofi.txt"
    script = ROOT / "scripts" / "help" / "generate.lua"
    subprocess.run([nvim_executable(), "--clean", "-l", str(script), str(fresh)], check=True)
    assert HELP.read_text() == fresh.read_text(), "nvim -l scripts/help/generate.lua writes it anew"


def test_every_function_of_the_interface_is_in_it(editor: Editor) -> None:
    functions = editor.lua("return vim.tbl_keys(require('lofi'))")
    text = HELP.read_text()
    missing = [name for name in functions if f"*lofi.{name}()*" not in text]
    assert missing == []


def test_the_tags_build_clean_and_every_link_leads_somewhere(
    editor: Editor, tmp_path: Path
) -> None:
    folder = tmp_path / "doc"
    folder.mkdir()
    (folder / "lofi.txt").write_text(HELP.read_text())
    editor.command(f"helptags {folder}")
    assert editor.nvim.command_output("messages") == ""
    tags = {line.split("\t")[0] for line in (folder / "tags").read_text().splitlines()}
    assert {"lofi", "lofi-options", ":Lofi", "lofi.generate()", "<Plug>(lofi-toggle)"} <= tags
    links = set(re.findall(r"(?<=[\s(])\|([^|\s]+)\|", HELP.read_text()))
    assert len(links) > 8
    elsewhere = {
        link for link in links - tags if not editor.nvim.eval(f"getcompletion('{link}', 'help')")
    }
    assert elsewhere == set()


def test_no_line_is_longer_than_a_help_window() -> None:
    long = [line for line in HELP.read_text().splitlines() if len(line) > 78]
    assert long == []


def test_one_picture_shows_what_is_made_from_other_music() -> None:
    """The same in the help and on the page that the README names."""
    section = HELP.read_text().split("*lofi-editing*")[1].split("\n<\n")[0]
    picture = section.split("\n>\n")[1]
    assert picture in (ROOT / "docs" / "shaping.md").read_text()
    assert "docs/shaping.md" in (ROOT / "README.md").read_text()
    for command in ("again", "vary", "like", "redo", "extend", "radio flow"):
        assert f":Lofi {command}" in picture
    assert "0:40-1:10" in picture


def test_its_examples_are_lua_that_compiles(editor: Editor) -> None:
    blocks = re.findall(r">lua\n(.*?)\n<", HELP.read_text(), re.DOTALL)
    assert len(blocks) >= 10
    for block in blocks:
        source = f"return {block}" if block.strip().startswith("{") else block
        problem = editor.lua("return select(2, loadstring(...))", source)
        assert problem is None, block
