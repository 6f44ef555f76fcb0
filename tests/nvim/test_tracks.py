from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.nvim.conftest import Editor
from tests.nvim.test_commands import make_track

TRACK = {
    "track_id": "0123456789abcdef",
    "prompt": "rainy night",
    "seed": "18446744073709551557",
    "backend": "demo",
    "model_version": "1",
    "duration_sec": 95,
    "created_at": "2026-03-01T12:00:00.000Z",
    "waveform": [index / 63 for index in range(64)],
    "loudness_lufs": -14.2,
    "kept": True,
    "inference_steps": 27,
}


@pytest.mark.one_neovim
@pytest.mark.parametrize(
    ("peaks", "width", "drawn"),
    [
        ([0, 0.125, 0.25, 0.5, 0.75, 1], 6, "▁▁▂▄▆█"),
        ([0.1, 0.9, 0.1, 0.1], 2, "█▁"),
        ([0.5] * 64, 16, "▄" * 16),
        ([0.5, 1.0], 16, "▄█"),
        ([1.5, -1], 2, "█▁"),
        ([], 16, ""),
    ],
)
def test_waveforms(editor: Editor, peaks: list[float], width: int, drawn: str) -> None:
    assert editor.lua("return require('lofi.pickers.track').waveform(...)", peaks, width) == drawn


@pytest.mark.one_neovim
def test_a_waveform_of_several_rows(editor: Editor) -> None:
    drawn = editor.lua(
        "return require('lofi.pickers.track').tall_waveform({ 0, 0.25, 0.5, 0.75, 1 }, 2)"
    )
    assert drawn == ["   ▄█", "▁▄███"]


def test_a_tracks_line_and_details(editor: Editor) -> None:
    label = editor.lua("return require('lofi.pickers.track').label(...)", TRACK)
    assert label == f"★ rainy night{' ' * 21}   1:35  ▁▂▂▃▄▄▅▆▆▇██  2026-03-01 12:00"
    details = editor.lua("return require('lofi.pickers.track').details(...)", TRACK)
    assert details[3:] == [
        "",
        "rainy night",
        "",
        "seed       18446744073709551557",
        "model      demo 1",
        "made       2026-03-01 12:00",
        "length     1:35",
        "steps      27",
        "loudness   -14.2 LUFS",
        "kept       yes",
    ]


CHOOSE = """
    -- the first question takes the first track, the second the action of this name
    local action = ...
    vim.ui.select = function(items, options, choose)
      if options.kind == "lofi_track" then
        _G.offered = vim.tbl_map(options.format_item, items)
        return choose(items[1])
      end
      _G.actions = vim.tbl_map(options.format_item, items)
      for _, item in ipairs(items) do
        if item.name == action then return choose(item) end
      end
      choose(nil)
    end
"""


@pytest.mark.parametrize(
    ("action", "method", "expected"),
    [
        ("play", "play", lambda track_id: {"track_id": track_id}),
        ("queue", "playlist_add", lambda track_id: {"track_ids": [track_id]}),
        ("keep", "tracks_keep", lambda track_id: {"track_ids": [track_id], "kept": True}),
    ],
)
def test_the_picker_without_plugins(editor: Editor, action, method, expected) -> None:
    editor.fake()
    track_id = make_track(editor)
    before = len(editor.requests(method))
    editor.lua(CHOOSE, action)
    editor.command("Lofi tracks rainy")
    editor.until(lambda: len(editor.requests(method)) > before)
    assert editor.requests(method)[-1] == expected(track_id)
    assert editor.requests("tracks_list") == [{"query": "rainy", "limit": 50, "offset": 0}]
    assert editor.lua("return offered[1]").startswith("  rainy night")
    assert editor.lua("return #actions") == 8


def test_a_deleted_track_goes_at_the_latest_with_neovim(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor)
    editor.lua("vim.fn.confirm = function() return 1 end")
    editor.lua(CHOOSE, "delete")
    editor.command("Lofi tracks")
    editor.until_noticed("rainy night plays now")
    editor.command("Lofi stop")
    editor.until(lambda: not editor.lua("return require('lofi').is_playing()"))
    editor.command("Lofi tracks")
    editor.until_noticed("deleted rainy night; :Lofi undo brings it back")
    assert editor.requests("tracks_delete") == []
    editor.close()
    assert editor.requests("tracks_delete") == [{"track_ids": [track_id]}]
    assert editor.requests()[-1] == "shutdown"


def test_the_same_again_and_with_a_new_seed(editor: Editor) -> None:
    editor.fake(generate={"inference_steps": 8})
    make_track(editor)
    seed = 18446744073709551557
    common = {"prompt": "rainy night", "backend": "demo", "duration_sec": 30, "inference_steps": 8}
    common["play"] = "early"
    for action, expected in (("again", {**common, "seed": seed}), ("vary", common)):
        editor.lua(CHOOSE, action)
        before = len(editor.requests("generate"))
        editor.command("Lofi tracks")
        editor.until(lambda n=before: len(editor.requests("generate")) > n)
        assert editor.requests("generate")[-1] == expected


def test_the_seed_is_copied(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.lua(CHOOSE, "copy_seed")
    editor.command("Lofi tracks")
    editor.until_noticed("seed 18446744073709551557")
    assert editor.lua("return vim.fn.getreg('\"')") == "18446744073709551557"


def test_nothing_chosen_does_nothing(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.lua("vim.ui.select = function(_, _, choose) _G.asked = true; choose(nil) end")
    before = editor.requests()
    editor.command("Lofi tracks")
    editor.until(lambda: editor.lua("return asked"))
    assert editor.requests() == [*before, "tracks_list"]


def test_an_empty_cache_says_how_to_fill_it(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi tracks")
    editor.until_noticed("no tracks yet; `:Lofi {prompt}` makes one")


def test_words_that_no_prompt_has(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.command("Lofi tracks polka")
    editor.until_noticed('no track\'s prompt contains "polka"')


def test_a_large_cache_comes_in_pages(editor: Editor) -> None:
    editor.fake()
    editor.lua(
        """
        local daemon = require("lofi.daemon")
        _G.offsets = {}
        daemon.request = function(_, params, callback)
          table.insert(offsets, params.offset)
          local page = {}
          for index = 1, math.min(params.limit, 120 - params.offset) do
            page[index] = { prompt = tostring(params.offset + index) }
          end
          callback(nil, { tracks = page, total = 120 })
        end
        require("lofi.pickers").get = function()
          return { open = function(tracks) _G.opened = { #tracks, tracks[120].prompt } end }
        end
        """
    )
    editor.command("Lofi tracks")
    assert editor.lua("return opened") == [120, "120"]
    assert editor.lua("return offsets") == [0, 50, 100]


def test_the_lua_interface(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor)
    editor.lua(
        """
        local lofi, id = require("lofi"), ...
        _G.answers = {}
        local function note(name)
          return function(problem, result)
            answers[name] = problem and problem.code or result or "fine"
          end
        end
        lofi.tracks({ query = "rainy" }, function(_, tracks, total)
          answers.tracks, answers.total = tracks[1].track_id, total
        end)
        lofi.keep(nil, false, note("keep"))
        lofi.queue(id, note("added"))
        lofi.queue(nil, note("queue"))
        lofi.delete(id, note("delete"))
        lofi.get_backends(note("backends"))
        lofi.player_set({ loop = "track" }, note("player_set"))
        lofi.volume(nil, note("volume"))
        """,
        track_id,
    )
    answers = editor.until(lambda: len(a := editor.lua("return answers")) == 9 and a)
    assert answers["tracks"] == track_id
    assert answers["total"] == 1
    assert answers["keep"] == {"track_ids": [track_id]}
    assert editor.requests("tracks_keep") == [{"track_ids": [track_id], "kept": False}]
    assert answers["added"] == {"track_ids": [track_id]}
    assert answers["queue"]["playlist"] == [track_id]
    assert answers["delete"] == {"deleted": [track_id], "bytes_freed": 1000}
    assert answers["backends"]["default_backend"] == "demo"
    assert answers["player_set"]["loop"] == "track"
    assert answers["volume"] == 0.5


# Stand-ins with the part of each plugin's interface that the pickers use.
SNACKS = """
    package.loaded["snacks"] = { picker = { pick = function(options)
      local items = options.finder()
      _G.shown = { title = options.title, preview = items[1].preview.text }
      _G.press = function(key)
        local name = options.win.input.keys[key][1]
        local picker = { close = function() _G.closed = true end }
        picker.find = function() _G.left = #options.finder() end
        options.actions[name](picker, items[1])
      end
    end } }
"""
TELESCOPE = """
    local mapped, default = {}, nil
    local entry
    package.loaded["telescope"] = {}
    package.loaded["telescope.config"] = { values = { generic_sorter = function() end } }
    package.loaded["telescope.actions"] = {
      close = function() _G.closed = true end,
      select_default = { replace = function(_, action) default = action end },
    }
    package.loaded["telescope.actions.state"] = {
      get_selected_entry = function() return entry end,
      get_current_picker = function()
        return { refresh = function(_, finder) _G.left = #finder.results end }
      end,
    }
    package.loaded["telescope.finders"] = { new_table = function(options) return options end }
    package.loaded["telescope.previewers"] = {
      new_buffer_previewer = function(options) return options end,
    }
    package.loaded["telescope.pickers"] = { new = function(_, options)
      return { find = function()
        entry = options.finder.entry_maker(options.finder.results[1])
        options.attach_mappings(1, function(_, key, action) mapped[key] = action end)
        local buffer = vim.api.nvim_create_buf(false, true)
        options.previewer.define_preview({ state = { bufnr = buffer } }, entry)
        local preview = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, true), "\\n")
        _G.shown = { title = options.prompt_title, preview = preview }
        _G.press = function(key) (key == "<CR>" and default or mapped[key])() end
      end }
    end }
"""
FZF_LUA = """
    local Base = { super = { new = function() end } }
    Base.__index = Base
    function Base:extend()
      local class = setmetatable({ super = Base.super }, { __index = self })
      class.__index = class
      return class
    end
    function Base:get_tmp_buffer() return vim.api.nvim_create_buf(false, true) end
    function Base:set_preview_buf(buffer)
      self.shown = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, true), "\\n")
    end
    local executable = vim.fn.executable
    vim.fn.executable = function(name) return name == "fzf" and 1 or executable(name) end
    package.loaded["fzf-lua.previewer.builtin"] = { base = Base }
    package.loaded["fzf-lua"] = { fzf_exec = function(contents, options)
      local function all()
        local lines = {}
        contents(function(line) lines[#lines + 1] = line end)
        return lines
      end
      local lines = all()
      local previewer = options.previewer.new({ }, {}, {}, {})
      previewer:populate_preview_buf(lines[1])
      _G.shown = { title = options.prompt:sub(1, -3), preview = previewer.shown }
      local keys = { ["<CR>"] = "enter", ["<M-n>"] = "alt-n", ["<M-x>"] = "alt-x" }
      _G.press = function(key)
        local action = options.actions[keys[key]]
        if type(action) == "function" then
          _G.closed = true
          return action({ lines[1] })
        end
        action.fn({ lines[1] })
        if action.reload then _G.left = #all() end
      end
    end }
"""


@pytest.mark.parametrize(
    ("picker", "stand_in"), [("snacks", SNACKS), ("telescope", TELESCOPE), ("fzf_lua", FZF_LUA)]
)
def test_pickers_of_plugins(editor: Editor, picker: str, stand_in: str) -> None:
    editor.fake()
    track_id = make_track(editor)
    editor.command("Lofi stop")
    editor.until(lambda: not editor.lua("return require('lofi').is_playing()"))
    editor.lua(stand_in)
    editor.lua("require('lofi').pick()")
    shown = editor.until(lambda: editor.lua("return shown"))
    assert shown["title"] == "lofi tracks"
    assert "seed       18446744073709551557" in shown["preview"]
    assert "█" in shown["preview"].splitlines()[0]

    editor.lua("press('<M-n>')")
    assert editor.until_requested("playlist_add") == {"track_ids": [track_id]}
    assert editor.lua("return { closed, left }") == [None, 1], "it stays open"

    answer = """
        local answer = ...
        vim.fn.confirm = function(question) asked = question; return answer end
    """
    editor.lua(answer, 2)
    editor.lua("press('<M-x>')")
    assert editor.lua("return { asked, left }") == ["Delete rainy night?", 1]
    editor.lua(answer, 1)
    editor.lua("press('<M-x>')")
    assert editor.lua("return { closed, left }") == [None, 0], "it has left the list"
    assert editor.requests("tracks_delete") == [], "and can be had back"

    editor.lua("require('lofi').pick()")
    editor.until_noticed("no tracks yet")
    editor.command("Lofi undo")
    editor.until_noticed("rainy night is back")
    editor.lua("_G.shown = nil")
    editor.lua("require('lofi').pick()")
    editor.until(lambda: editor.lua("return shown"))
    before = len(editor.requests("play"))
    editor.lua("press('<CR>')")
    editor.until(lambda: len(editor.requests("play")) > before)
    assert editor.lua("return closed")
    assert editor.lua(
        "return require('lofi.pickers').get() == require('lofi.pickers." + picker + "')"
    )


def test_a_picker_that_is_not_installed_becomes_ui_select(editor: Editor) -> None:
    editor.setup(picker="telescope")
    select = "return require('lofi.pickers').get() == require('lofi.pickers.select')"
    assert editor.lua(select)


@pytest.mark.parametrize(
    ("picker", "needs"),
    [
        ("snacks", ["snacks.nvim"]),
        ("telescope", ["telescope.nvim", "plenary.nvim"]),
    ],
)
def test_real_pickers(editors, picker: str, needs: list[str]) -> None:
    """With the plugins themselves, where LOFI_TEST_PLUGINS names a folder with clones of them."""
    folders = [Path(os.environ.get("LOFI_TEST_PLUGINS", "/nowhere")) / name for name in needs]
    if not all(folder.exists() for folder in folders):
        pytest.skip(f"{' and '.join(needs)} not here; LOFI_TEST_PLUGINS names a folder with them")
    editor = editors(columns=140, lines=30)
    for folder in folders:
        editor.command(f"set rtp+={folder}")
    if picker == "snacks" and not editor.lua("return pcall(require, 'snacks')"):
        pytest.skip("snacks wants a newer Neovim")
    editor.fake(picker=picker)
    make_track(editor, "sunny morning")
    make_track(editor, "rainy night")
    editor.command("Lofi stop")
    editor.until(lambda: not editor.lua("return require('lofi').is_playing()"))
    editor.lua("vim.fn.confirm = function() return 1 end")
    editor.command("Lofi tracks")
    editor.until(lambda: "sunny morning" in editor.watched.text())
    editor.until(lambda: "18446744073709551557" in editor.watched.text())
    editor.nvim.input("<M-s>")
    assert editor.until_requested("tracks_keep")["kept"]
    editor.until(lambda: "★" in editor.watched.text())
    editor.nvim.input("<M-x>")
    editor.until_noticed("deleted")
    name = editor.notices().split("deleted ")[1].split(";")[0]
    other = {"rainy night": "sunny morning", "sunny morning": "rainy night"}[name]
    editor.until(lambda: f"  {name} " not in editor.watched.text())
    assert f"  {other} " in editor.watched.text(), "the picker is still open"
    before = len(editor.requests("play"))
    editor.nvim.input("<CR>")
    editor.until(lambda: len(editor.requests("play")) > before)
