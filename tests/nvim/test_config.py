from __future__ import annotations

from typing import Any

import pytest

from tests.nvim.conftest import Editor


def problem(editor: Editor, options: Any) -> str:
    return editor.lua("return tostring(select(2, pcall(require('lofi').setup, ...)))", options)


def options(editor: Editor) -> dict[str, Any]:
    return editor.lua("return require('lofi.config').get()")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"volume": 1}, 'unknown option "volume"; did you mean "player.volume"?'),
        ({"progress": {"kind": 1}}, 'unknown option "progress.kind"; known are cmd, env'),
        ({"progres": {"style": 1}}, 'unknown option "progres"; known are cmd, env'),
        ({"cmd": 1}, "lofi.cmd: expected string or table, got 1"),
        ({"autoplay": "yes"}, "lofi.autoplay: expected boolean, got yes"),
        ({"player": 3}, "lofi.player: expected table, got 3"),
        ({"player": {"volume": 50}}, "lofi.player.volume: expected 0 to 1, got 50"),
        ({"picker": "denite"}, "lofi.picker: expected one of auto, snacks"),
        ({"generate": {"length": 3}}, 'lofi.generate: unknown parameter "length"; known are'),
        ({"status": {"icons": {"note": "x"}}}, 'lofi.status.icons: unknown icon "note"'),
        ("rain", "lofi.setup(options): expected table, got rain"),
    ],
)
def test_what_does_not_fit_is_named(editor: Editor, given: Any, message: str) -> None:
    before = options(editor)
    assert problem(editor, given).startswith((message, "lofi: " + message))
    assert options(editor) == before, "options that do not fit change nothing"


def test_without_setup_the_defaults_hold(editor: Editor) -> None:
    assert options(editor) == editor.lua("return require('lofi.config').defaults()")


def test_options_of_the_global_variable(editor: Editor) -> None:
    editor.nvim.vars["lofi"] = {"player": {"volume": 0.2}, "picker": "select"}
    assert options(editor)["player"] == {"volume": 0.2}
    editor.setup(player={"crossfade_sec": 3})
    assert options(editor)["player"] == {"volume": 0.2, "crossfade_sec": 3}
    assert options(editor)["picker"] == "select"


def test_icons_that_are_not_given_stay(editor: Editor) -> None:
    editor.setup(status={"icons": {"playing": ">"}})
    icons = options(editor)["status"]["icons"]
    assert icons["playing"] == ">"
    assert icons["paused"] == "⏸"


def test_annotations_name_the_options_that_are_declared(editor: Editor) -> None:
    """The LuaCATS classes are for editors and cannot be made from the table: they are compared."""
    annotated = editor.lua(
        r"""
        local file = vim.api.nvim_get_runtime_file("lua/lofi/config.lua", false)[1]
        local names, class = {}, nil
        for _, line in ipairs(vim.fn.readfile(file)) do
          class = line:match("^%-%-%-@class lofi%.(%w+)Options")
            or line:match("^%-%-%-@class lofi%.(Options)$")
            or (vim.startswith(line, "---@field") and class or nil)
          local field = line:match("^%-%-%-@field (%w[%w_]*)%?")
          if class and field then
            local prefix = class == "Options" and "" or class:lower() .. "."
            names[#names + 1] = prefix .. field
          end
        end
        return names
        """
    )
    declared = editor.lua(
        """
        return vim.tbl_map(function(each) return each.name end, require("lofi.config").declarations)
        """
    )
    groups = {name.split(".")[0] for name in declared if "." in name}
    assert sorted(set(annotated) - groups) == sorted(declared)
    assert groups <= set(annotated)
