"""From nothing but the plugin and an empty home to music: the first `:Lofi` installs the daemon.

With plugin managers as people use them, where their sources are at hand: LOFI_TEST_PLUGINS names a
folder with clones of lazy.nvim and mini.nvim. vim.pack is a part of Neovim 0.12.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvim.conftest import ROOT, Editor

pytestmark = pytest.mark.one_neovim

# pip fetches three hundred megabytes, on a machine that may have other work.
PATIENCE = 900

ANSWER = """
    _G.questions = {}
    vim.ui.select = function(items, options, choose)
      table.insert(questions, options.prompt)
      choose(items[1], 1)
    end
"""


def clone(folder: Path) -> None:
    """The files a clone would have, and those that are about to be committed; a repository."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def as_repository(folder: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["config", "uploadpack.allowFilter", "true"],
        ["add", "-A"],
        ["commit", "-q", "-m", "all"],
    ):
        subprocess.run(["git", *author, *arguments], cwd=folder, check=True)


def specification(document: str) -> str:
    text = (ROOT / document).read_text()
    found = re.search(
        r"lazy\.nvim[^`>]*(?:```|>)lua\n(.*?)^(?:```|<)", text, re.DOTALL | re.MULTILINE
    )
    assert found, f"{document} has no specification for lazy.nvim"
    return found[1]


@pytest.mark.parametrize("document", ["README.md", "doc/lofi.txt"])
def test_the_specification_can_be_read(document: str) -> None:
    assert re.search(r'cmd = "Lofi"', specification(document))
    assert "build" not in specification(document), "nothing has to be built"


def variables(home: Path) -> dict[str, str]:
    """What the daemon and pip are told: the bundled model, no sound, and the way to PyPI."""
    inherited = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "SSL" in k}
    return {
        **inherited,
        # what runs these tests, as the `python3` of a user
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "LOFI_AUDIO_DEVICE": "null",
        "LOFI_BACKEND": "demo",
    }


def home_with(tmp_path: Path, init: str) -> Path:
    """A home with this init.lua and nothing else of Neovim's."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    (home / "config" / "nvim").mkdir(parents=True)
    (home / "config" / "nvim" / "init.lua").write_text(init)
    configuration = Path("~/.config/pip/pip.conf").expanduser()
    if configuration.exists():
        (home / "config" / "pip").mkdir()
        shutil.copy(configuration, home / "config" / "pip" / "pip.conf")
    return home


def plays_after_one_question(editor: Editor, plugin: Path) -> None:
    editor.until(lambda: editor.nvim.eval("exists(':Lofi')") == 2, 60)
    editor.watched.traps.clear()  # what a plugin manager says of its own work
    editor.lua(ANSWER)
    editor.command("Lofi rainy night piano duration=5 steps=2")
    editor.until(lambda: "fetches" in editor.watched.text(), PATIENCE)
    assert editor.lua("return 1 + 1") == 2, "Neovim is not held up meanwhile"
    editor.until(lambda: editor.lua("return require('lofi').is_playing()"), PATIENCE)
    assert len(editor.lua("return questions")) == 1
    assert (plugin / ".venv/bin/lofi-daemon").exists()
    tracks = editor.home / "cache/lofi.nvim/tracks"
    editor.until(lambda: list(tracks.glob("*.wav")), PATIENCE)
    editor.command("Lofi help")
    assert editor.nvim.eval("&filetype") == "help"
    assert editor.nvim.eval("expand('%:p')") == str(plugin / "doc/lofi.txt")


def test_an_empty_home(editors: Callable[..., Editor], tmp_path: Path) -> None:
    home = home_with(tmp_path, "")
    plugin = home / "data/nvim/site/pack/music/start/lofi.nvim"
    clone(plugin)
    editor = editors("home", arguments=(), **variables(home))
    plays_after_one_question(editor, plugin)


def manager(name: str) -> Path:
    folder = Path(os.environ.get("LOFI_TEST_PLUGINS", "/nowhere")) / name
    if not folder.exists():
        pytest.skip(f"{name} is not here; LOFI_TEST_PLUGINS names a folder with it")
    return folder


def test_lazy_nvim_with_the_readmes_lines(editors: Callable[..., Editor], tmp_path: Path) -> None:
    lazy = manager("lazy.nvim")
    home = home_with(
        tmp_path,
        f"""
        vim.opt.runtimepath:prepend("{lazy}")
        require("lazy").setup({{
          {specification("README.md")}
        }}, {{ rocks = {{ enabled = false }} }})
        """,
    )
    plugin = home / "src/lofi.nvim"
    clone(plugin)
    editor = editors("home", arguments=(), **variables(home))
    plays_after_one_question(editor, plugin)


def test_lazy_nvim_builds_what_it_has_cloned(
    editors: Callable[..., Editor], tmp_path: Path
) -> None:
    lazy = manager("lazy.nvim")
    source = tmp_path / "lofi.nvim"
    clone(source)
    as_repository(source)
    home = home_with(
        tmp_path,
        f"""
        vim.opt.runtimepath:prepend("{lazy}")
        require("lazy").setup({{
          {{ url = "{source}", name = "lofi.nvim", cmd = "Lofi", opts = {{}} }},
        }}, {{ rocks = {{ enabled = false }}, git = {{ filter = false }} }})
        """,
    )
    editor = editors("home", arguments=(), **variables(home))
    plugin = home / "data/nvim/lazy/lofi.nvim"
    editor.until(lambda: (plugin / ".venv/.installed").exists(), PATIENCE)
    editor.command("Lofi rainy night piano duration=5 steps=2")
    editor.until(lambda: editor.lua("return require('lofi').is_playing()"), PATIENCE)


def test_mini_deps(editors: Callable[..., Editor], tmp_path: Path) -> None:
    mini = manager("mini.nvim")
    source = tmp_path / "lofi.nvim"
    clone(source)
    as_repository(source)
    home = home_with(
        tmp_path,
        f"""
        vim.opt.runtimepath:prepend("{mini}")
        require("mini.deps").setup()
        MiniDeps.add({{ source = "file://{source}", name = "lofi.nvim" }})
        """,
    )
    editor = editors("home", arguments=(), **variables(home))
    plays_after_one_question(editor, home / "data/nvim/site/pack/deps/opt/lofi.nvim")


def test_vim_pack(editors: Callable[..., Editor], tmp_path: Path) -> None:
    source = tmp_path / "lofi.nvim"
    clone(source)
    as_repository(source)
    home = home_with(
        tmp_path,
        f"""
        if vim.pack then
          local spec = {{ src = "file://{source}", name = "lofi.nvim" }}
          vim.pack.add({{ spec }}, {{ confirm = false }})
        end
        """,
    )
    editor = editors("home", arguments=(), **variables(home))
    if not editor.lua("return vim.pack ~= nil"):
        pytest.skip("vim.pack comes with Neovim 0.12")
    plays_after_one_question(editor, home / "data/nvim/site/pack/core/opt/lofi.nvim")


PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit 0 ;;
  "-m venv"*) {venv} ;;
esac
"""
WITHOUT_VENV = "echo 'The virtual environment was not created: ensurepip is not available.'; exit 1"
WITHOUT_NETWORK = """mkdir -p "$3/bin"; printf '#!/bin/sh\necho "ERROR: no such host"; exit 1\n' \
  > "$3/bin/python"; chmod +x "$3/bin/python" """


@pytest.mark.parametrize(
    ("python", "said", "hint"),
    [
        (None, "there is no Python 3.10 or newer on PATH", "Install Python"),
        (WITHOUT_VENV, "ensurepip is not available", "apt install python3-venv"),
        (WITHOUT_NETWORK, "pip failed: ERROR: no such host", "Is there a network?"),
    ],
)
def test_what_keeps_it_from_being_installed_is_said(
    editor: Editor, tmp_path: Path, python: str | None, said: str, hint: str
) -> None:
    (tmp_path / "bin").mkdir()
    if python:
        script = tmp_path / "bin" / "python3"
        script.write_text(PYTHON.format(venv=python))
        script.chmod(0o755)
    editor.lua(ANSWER)
    editor.lua("vim.env.PATH = ... .. (select(2, ...))", f"{tmp_path}/bin", ":/bin" * bool(python))
    editor.lua("_G.root = ...", str(tmp_path / "plugin"))
    (tmp_path / "plugin").mkdir()
    editor.lua("require('lofi.discovery').plugin_root = function() return root end")
    editor.lua(
        "vim.fn.executable = (function(executable) return function(name)"
        " return (name == 'python3' or not name:match('^python')) and executable(name) or 0"
        " end end)(vim.fn.executable)"
    )
    editor.command("Lofi rainy night")
    editor.until_noticed(said)
    assert hint in editor.notices()
    editor.lua("vim.ui.select = function(_, _, choose) choose(nil) end")
    editor.command("Lofi rainy night")
    editor.until_noticed("nothing was installed; :Lofi install does it later")
