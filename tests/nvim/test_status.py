from __future__ import annotations

import time

from tests.nvim.conftest import Editor


def status(editor: Editor) -> str:
    return editor.lua("return require('lofi').status()")


def test_empty_when_nothing_happens(editor: Editor) -> None:
    assert status(editor) == ""
    editor.fake()
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    assert status(editor) == ""


def test_playing_while_another_track_is_made(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    assert status(editor) == "▶ 0:00/1:00 radio track 1"
    editor.command("Lofi keys")
    editor.until(lambda: status(editor).endswith(" ◌ 45%"))
    assert editor.lua("return require('lofi').status({ escape = true })").endswith(" ◌ 45%%")
    editor.command("Lofi pause")
    editor.until(lambda: status(editor).startswith("⏸ 0:0"))


def test_the_position_goes_on_without_asking(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    asked = editor.requests()
    editor.until(lambda: "0:02/1:00" in status(editor))
    assert editor.lua("return require('lofi').current_track().position_sec") >= 2
    assert editor.requests() == asked


def test_the_position_stops_at_the_end(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.lua("require('lofi.player').state().position_sec = 1000")
    editor.lua("require('lofi.events').changed()")
    assert "1:00/1:00" in status(editor)


def test_paused_it_stands_still(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start", "playback_pause")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.command("Lofi pause")
    editor.until_heard("playback_pause")
    before = editor.lua("return require('lofi').current_track().position_sec")
    time.sleep(0.05)
    assert editor.lua("return require('lofi').current_track().position_sec") == before


def test_icons_and_width(editor: Editor) -> None:
    editor.fake(status={"icons": {"playing": ">"}, "prompt_width": 8})
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    assert status(editor) == "> 0:00/1:00 radio t…"


def test_waiting_and_downloading(editor: Editor) -> None:
    editor.fake("late_radio")
    editor.listen("radio_waiting")
    editor.command("Lofi radio")
    editor.until_heard("radio_waiting")
    assert status(editor) == "…"
    editor.command("Lofi download musicgen")
    editor.until(lambda: status(editor).startswith("… ↓ "))


def test_the_text_is_built_once_for_each_change(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    nanoseconds = editor.lua(
        """
        local status = require("lofi").status
        status()
        local started = vim.uv.hrtime()
        for _ = 1, 10000 do status() end
        return (vim.uv.hrtime() - started) / 10000
        """
    )
    assert nanoseconds < 20_000


def test_the_statusline_is_drawn_anew_while_something_plays(editor: Editor) -> None:
    editor.fake(status={"refresh_ms": 100})
    editor.listen("playback_start")
    editor.command("set laststatus=2 statusline=%{v:lua.require'lofi'.status()}")
    editor.command("Lofi radio")
    # without a redraw from here: what is on the screen was drawn by the plugin
    read = "join(map(range(1, 40), 'screenstring(&lines - 1, v:val)'), '')"
    editor.until(lambda: "▶ 0:01/1:00 radio track 1" in editor.nvim.eval(read), 15)


def test_nothing_is_drawn_anew_when_nothing_plays(editor: Editor) -> None:
    editor.lua(
        """
        _G.running = 0
        local new_timer = vim.uv.new_timer
        vim.uv.new_timer = function()
          local timer = new_timer()
          return setmetatable({}, { __index = function(_, name)
            return function(_, ...)
              if name == "start" and select(2, ...) == 50 then running = running + 1 end
              if name == "close" then running = running - 1 end
              return timer[name](timer, ...)
            end
          end })
        end
        """
    )
    editor.fake(status={"refresh_ms": 50})
    editor.listen("playback_start", "playback_pause")
    status(editor)
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    assert editor.lua("return running") == 1
    editor.command("Lofi pause")
    editor.until_heard("playback_pause")
    editor.until(lambda: editor.lua("return running") == 0)


def test_in_a_crossfade_the_next_track_has_started_before_the_last_one_ends(
    editor: Editor,
) -> None:
    editor.lua(
        """
        local handle = require("lofi.player").notifications
        for _, name in ipairs({ "a", "b" }) do
          local track = { track_id = name, prompt = name, position_sec = 0, duration_sec = 60 }
          handle.playback_started(track)
        end
        handle.playback_ended({ track_id = "a", reason = "finished" })
        """
    )
    assert editor.lua("return require('lofi').current_track().track_id") == "b"
    editor.lua(
        """
        local handle = require("lofi.player").notifications
        handle.playback_ended({ track_id = "b", reason = "stopped" })
        """
    )
    assert editor.lua("return require('lofi').current_track()") is None
