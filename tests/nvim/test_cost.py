"""What the plugin costs: at start-up nothing, and never a pause that a keypress could feel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.nvim.conftest import ROOT, Editor, nvim_executable

# Processor time, so that a busy machine does not count; the slowest of what runs in a callback.
MEASURE = """
    _G.slowest = { seconds = 0 }
    local function measured(name, action)
      return function(...)
        local started = os.clock()
        local results = { action(...) }
        local seconds = os.clock() - started
        if seconds > slowest.seconds then slowest = { seconds = seconds, name = name } end
        return unpack(results)
      end
    end
    local schedule = vim.schedule
    vim.schedule = function(action)
      local caller = debug.getinfo(2, "S").short_src .. ":" .. debug.getinfo(2, "l").currentline
      schedule(measured(caller, action))
    end
    local system = vim.system
    vim.system = function(command, options, on_exit)
      options.stdout = measured("stdout", options.stdout)
      options.stderr = measured("stderr", options.stderr)
      return system(command, options, on_exit)
    end
    local lofi = require("lofi")
    lofi.status = measured("status", lofi.status)
"""


def test_requiring_it_costs_less_than_a_millisecond_and_starts_nothing(tmp_path: Path) -> None:
    script = tmp_path / "measure.lua"
    script.write_text(
        f"""
        vim.opt.rtp:prepend("{ROOT}")
        vim.system = function() error("a process was started") end
        vim.uv.spawn = vim.system
        local fastest = math.huge
        for _ = 1, 20 do
          for name in pairs(package.loaded) do
            if name:match("^lofi") then package.loaded[name] = nil end
          end
          local started = vim.uv.hrtime()
          require("lofi")
          fastest = math.min(fastest, (vim.uv.hrtime() - started) / 1e6)
        end
        local loaded = {{}}
        for name in pairs(package.loaded) do
          if name:match("^lofi") then loaded[#loaded + 1] = name end
        end
        print(("%.3f %s"):format(fastest, table.concat(loaded, ",")))
        """
    )
    command = [nvim_executable(), "--clean", "--headless", "-l", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    milliseconds, loaded = (done.stdout + done.stderr).split()
    assert float(milliseconds) < 1
    assert loaded == "lofi", "nothing else is loaded before it is needed"


def test_the_plugin_file_only_defines_the_command_and_the_maps(editor: Editor) -> None:
    assert editor.lua(
        """
        local loaded = {}
        for name in pairs(package.loaded) do
          if name:match("^lofi") then loaded[#loaded + 1] = name end
        end
        return { vim.fn.exists(":Lofi"), #loaded, #vim.api.nvim_get_proc_children(vim.fn.getpid()) }
        """
    ) == [2, 0, 0]


@pytest.mark.one_neovim
def test_no_callback_is_felt(editor: Editor) -> None:
    editor.lua(MEASURE)
    editor.fake(generate={"duration_sec": 60}, status={"refresh_ms": 50})
    editor.command("set laststatus=2 statusline=%{v:lua.require'lofi'.status()}")
    editor.listen("generation_complete", "playback_start", "download_complete")
    # the first use loads modules; it is the user's own command and not what is measured
    editor.command("Lofi first")
    editor.until_heard("playback_start")
    editor.lua("slowest = { seconds = 0 }")
    for number in range(8):
        editor.command(f"Lofi generate a longer prompt that has to be shortened {number}")
    editor.command("Lofi radio")
    editor.command("Lofi download musicgen")
    editor.until(lambda: len(editor.heard("generation_complete")) == 9)
    editor.until_heard("download_complete")
    slowest = editor.lua("return slowest")
    assert slowest["seconds"] < 0.002, slowest


@pytest.mark.one_neovim
def test_a_full_page_of_tracks_is_no_pause_either(editor: Editor) -> None:
    milliseconds = editor.lua(
        """
        local rpc = require("lofi.rpc")
        local track = {
          track_id = ("a"):rep(16), prompt = ("rain "):rep(20), seed = "18446744073709551615",
          waveform = {}, backend = "ace_step", created_at = "2026-03-01T12:00:00.000Z",
        }
        for index = 1, 64 do track.waveform[index] = 0.123456789 end
        local tracks = {}
        for index = 1, 50 do tracks[index] = track end
        local line = rpc.encode({ jsonrpc = "2.0", id = 1, result = { tracks = tracks } }) .. "\\n"
        local best = math.huge
        for _ = 1, 10 do
          local connection = rpc.connect(function() end, print, print)
          connection:request("tracks_list", nil, function() end)
          local started = os.clock()
          for from = 1, #line, 65536 do connection:receive(line:sub(from, from + 65535)) end
          best = math.min(best, os.clock() - started)
        end
        return best * 1000
        """
    )
    assert milliseconds < 2
