from __future__ import annotations

import json

import pytest

from tests.nvim.conftest import ROOT, Editor

pytestmark = pytest.mark.one_neovim


@pytest.mark.parametrize(
    ("strange", "seen"),
    [
        ("rain\x1b]52;c;aGk=\x07", "rain�]52;c;aGk=�"),
        ("a\nb\tc", "a b c"),
        ("\x9b31mred\u009b", "�31mred�"),
        ("abc\u202egnp.exe\u2066", "abc�gnp.exe�"),
        ("größer ▶ 雨 🎵", "größer ▶ 雨 🎵"),
    ],
)
def test_strangers_text_is_seen_and_does_nothing(editor: Editor, strange: str, seen: str) -> None:
    assert editor.lua("return require('lofi.text').shown(...)", strange) == seen


def test_what_is_no_utf_8_is_seen_too(editor: Editor) -> None:
    shown = "return require('lofi.text').shown('caf\\233 \\240\\159 ok')"
    assert editor.lua(shown) == "caf� � ok"


def test_a_strangers_prompt_in_every_place(editor: Editor) -> None:
    """Floats, messages, picker, statusline and log have it harmless."""
    prompt = "rain\x1b[31m\x07\nnight"
    editor.fake(progress={"style": "float"})
    editor.listen("playback_start")
    editor.lua("require('lofi').generate({ prompt = ..., play = true })", prompt)
    editor.until_heard("playback_start")
    assert "rain�[31m� night" in editor.lua("return require('lofi').status()")
    editor.until(lambda: "rain�[31m� night" in editor.watched.text())
    for command in ("status", "log"):
        editor.command(f"Lofi {command}")
        editor.until(lambda: "rain�" in "\n".join(editor.nvim.current.buffer[:]))
        assert "\x1b" not in "\n".join(editor.nvim.current.buffer[:])
        editor.command("close")
    editor.lua(
        "vim.ui.select = function(items, o) _G.offered = vim.tbl_map(o.format_item, items) end"
    )
    editor.command("Lofi tracks")
    assert "rain�[31m� night" in editor.until(lambda: editor.lua("return offered"))[0]


def test_every_track_of_a_preset_has_a_short_name_of_its_own(editor: Editor) -> None:
    presets = json.loads((ROOT / "src/lofi_daemon/radio/presets.json").read_text())
    prompts = [prompt for preset in presets for prompt in preset["prompts"]]
    names = editor.lua("return vim.tbl_map(require('lofi.presets').title, ...)", prompts)
    assert len(set(names)) > 0.95 * len(prompts)
    assert max(map(len, names)) <= 40
    first = presets[0]
    assert names[0].startswith(first["name"] + " · ")
    assert "bpm" not in " ".join(names)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("rainy night piano", "rainy night piano"),
        (
            "lofi hip hop, mellow pads, dusty drums, rain on the window, 72 bpm, instrumental",
            "mellow pads, dusty drums",
        ),
        ("x" * 60, "x" * 39 + "…"),
    ],
)
def test_names(editor: Editor, prompt: str, name: str) -> None:
    assert editor.lua("return require('lofi.presets').title(...)", prompt) == name


@pytest.mark.parametrize(
    ("word", "closest"),
    [
        *(("paus", "pause"), ("pasue", "pause"), ("volumne", "volume"), ("skpi", "skip")),
        *(("keys", None), ("piano", None), ("rain", None), ("jazz", None)),
    ],
)
def test_slips(editor: Editor, word: str, closest: str | None) -> None:
    names = ["pause", "play", "keep", "skip", "volume", "stop", "radio"]
    assert editor.lua("return require('lofi.text').closest(...)", word, names) == closest


def test_the_phrases_that_are_said_otherwise_are_the_daemons(editor: Editor) -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src/lofi_daemon").rglob("*.py"))
    joined = source.replace('"\n', "").replace('  "', "")
    for phrase, _ in editor.lua("return require('lofi.hints').phrases"):
        assert phrase in source or phrase in " ".join(joined.split()), phrase


def test_the_daemons_words_become_neovims(editor: Editor) -> None:
    said = editor.lua(
        """
        local failure = require("lofi.failure").new("X",
          "inference_steps must be from 1 to 200.", "Run `lofi-daemon download musicgen` first.")
        return { require("lofi.hints").for_neovim(failure) }
        """
    )
    assert said == ["steps must be from 1 to 200.", "Run :Lofi download musicgen first."]
