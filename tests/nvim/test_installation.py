"""From the README's plugin specification, in a clean home, to music."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.nvim.conftest import ROOT, nvim_executable
from tests.tiny_bundle import tiny_bundle

# What lazy.nvim does with the fields that the specification uses: `build` when the plugin is
# installed, `cmd` to load it when the command is first used, `opts` for setup(). lazy.nvim itself
# comes from a place that tests cannot reach.
LOADER = r"""
local home = vim.env.HOME
local spec = dofile(home .. "/spec.lua")
local directory = vim.fs.joinpath(home, "src", vim.fs.basename(spec.dir or spec.url or spec[1]))

if vim.env.BUILD then
  local built = vim.system(vim.split(spec.build, " "), { cwd = directory, text = true }):wait()
  io.stdout:write(built.stdout, built.stderr)
  os.exit(built.code)
end

vim.api.nvim_create_user_command(spec.cmd, function(invocation)
  vim.api.nvim_del_user_command(spec.cmd)
  vim.opt.rtp:prepend(directory)
  vim.cmd.source(directory .. "/plugin/lofi.lua")
  if spec.opts then
    require("lofi").setup(spec.opts)
  end
  vim.cmd(spec.cmd .. " " .. invocation.args)
end, { nargs = "*" })

local lofi_messages = {}
vim.notify = function(message)
  table.insert(lofi_messages, message)
end
vim.api.nvim_create_autocmd("User", {
  pattern = { "LofiGenerationComplete", "LofiPlaybackStart" },
  callback = function(event)
    print(event.match, event.data.prompt)
  end,
})
vim.cmd("Lofi rainy night piano duration=5 steps=2")
local played = vim.wait(240000, function()
  return require("lofi").is_playing() or #lofi_messages > 0
end, 50)
print(played, table.concat(lofi_messages, " "))
"""


def clone(folder: Path) -> None:
    """The files a clone would have, and those that are about to be committed."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.mark.parametrize("document", ["README.md", "doc/lofi.txt"])
def test_the_specification_can_be_read(document: str) -> None:
    assert re.search(r'build = "make install"', specification(document))
    assert re.search(r'cmd = "Lofi"', specification(document))


def specification(document: str) -> str:
    text = (ROOT / document).read_text()
    found = re.search(
        r"lazy\.nvim[^`>]*(?:```|>)lua\n(.*?)^(?:```|<)", text, re.DOTALL | re.MULTILINE
    )
    assert found, f"{document} has no specification for lazy.nvim"
    return found[1]


def test_a_clean_home(tmp_path: Path) -> None:
    clone(tmp_path / "src" / "lofi.nvim")
    (tmp_path / "spec.lua").write_text("return " + specification("README.md"))
    (tmp_path / "loader.lua").write_text(LOADER)
    # pip may need what the environment says of proxies and certificates
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LOFI_", "XDG_"))}
    environment = {
        **inherited,
        "HOME": str(tmp_path),
        "LOFI_AUDIO_DEVICE": "null",
        "LOFI_BACKEND": "ace_step",
        "LOFI_ACE_STEP_MODEL_PATH": str(tiny_bundle()),
    }
    nvim = [nvim_executable(), "--clean", "-l", str(tmp_path / "loader.lua")]
    build = subprocess.run(
        nvim, env={**environment, "BUILD": "1"}, capture_output=True, text=True, check=False
    )
    assert build.returncode == 0, build.stdout + build.stderr
    assert (tmp_path / "src/lofi.nvim/.venv/bin/lofi-daemon").exists()

    used = subprocess.run(nvim, env=environment, capture_output=True, text=True, check=True)
    told = (used.stdout + used.stderr).splitlines()
    assert len(told) == 3, told
    assert told[0].split(maxsplit=1) == ["LofiGenerationComplete", "rainy night piano"]
    assert told[1].split(maxsplit=1) == ["LofiPlaybackStart", "rainy night piano"]
    assert told[2].strip() == "true"
    assert list((tmp_path / ".cache/lofi.nvim/tracks").glob("*.wav"))
