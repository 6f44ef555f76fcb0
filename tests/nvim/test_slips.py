"""What was typed and probably not meant, and what is said where something happened."""

from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor
from tests.nvim.test_commands import make_track

CHOOSE = """
    local number = ...
    _G.questions = {}
    vim.ui.select = function(items, options, choose)
      local labels = vim.tbl_map(options.format_item or tostring, items)
      table.insert(questions, { options.prompt, labels })
      choose(items[number], number)
    end
"""


def questions(editor: Editor) -> list[list[object]]:
    return editor.lua("return questions")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("paus", ":Lofi pause"), ("next", ":Lofi skip"), ("list", ":Lofi tracks")),
        *(("vol", ":Lofi volume"), ("Stop", ":Lofi stop"), ("quit", ":Lofi stop")),
        *(("stauts", ":Lofi status"), ("gen", ":Lofi generate")),
    ],
)
def test_one_word_that_is_nearly_a_subcommand_asks(editor: Editor, typed: str, meant: str) -> None:
    editor.fake()
    editor.lua(CHOOSE, None)
    editor.command(f"Lofi {typed}")
    [[question, labels]] = questions(editor)
    assert question == f"lofi: :Lofi {typed}?"
    assert labels[0] == meant
    assert labels[-1] == f'make a track of the prompt "{typed}"'
    assert editor.requests() == [], "nothing is made and nothing plays"


def test_the_answers_are_carried_out(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.lua(CHOOSE, 1)
    editor.command("Lofi paus")
    editor.until_requested("pause")
    editor.lua(CHOOSE, 2)
    editor.command("Lofi paus")
    editor.until(lambda: editor.requests("generate")[-1]["prompt"] == "paus")


@pytest.mark.parametrize("words", ["piano", "keys", "rain", "jazz", "paus for thought"])
def test_other_words_make_music(editor: Editor, words: str) -> None:
    editor.fake()
    editor.lua(CHOOSE, None)
    editor.command(f"Lofi {words}")
    assert editor.until_requested("generate")["prompt"] == words
    assert questions(editor) == []


def test_a_radio_that_is_nearly_a_preset_asks(editor: Editor) -> None:
    editor.fake()
    editor.lua(CHOOSE, 1)
    editor.command("Lofi radio stuyd")
    editor.until(lambda: editor.requests("radio_start") == [{"preset": "study"}])
    editor.lua(CHOOSE, 2)
    editor.command("Lofi radio stuyd")
    editor.until(lambda: editor.requests("radio_start")[1:] == [{"prompts": ["stuyd"]}])


def test_presets_are_listed_with_what_they_are(editor: Editor) -> None:
    editor.fake()
    editor.lua(CHOOSE, 2)
    editor.command("Lofi radio ?")
    editor.until(lambda: editor.requests("radio_start") == [{"preset": "study"}])
    assert questions(editor) == [["lofi radio", ["rain: wet windows", "study: quiet"]]]


def test_a_radio_with_parameters(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi radio study duration=120")
    editor.until_requested("radio_start")
    assert editor.requests("radio_start") == [{"preset": "study", "duration_sec": 120}]
    editor.command("Lofi radio foggy harbour steps=4")
    editor.until(lambda: len(editor.requests("radio_start")) == 2)
    assert editor.requests("radio_start")[1] == {"prompts": ["foggy harbour"], "inference_steps": 4}
    editor.command("Lofi radio tempo=3")
    editor.until_noticed('unknown parameter "tempo"')


def test_parameters_before_the_prompt_is_asked_for_hold(editor: Editor) -> None:
    editor.fake()
    editor.lua("vim.ui.input = function(_, answer) answer('soft keys') end")
    editor.command("Lofi generate duration=7 steps=1")
    expected = {"prompt": "soft keys", "duration_sec": 7, "inference_steps": 1, "play": "early"}
    assert editor.until_requested("generate") == expected


def test_a_count_before_the_volume_maps(editor: Editor) -> None:
    editor.fake()
    editor.lua("vim.keymap.set('n', '<Space>', '<Plug>(lofi-volume-up)')")
    editor.nvim.input("3<Space>")
    editor.until_noticed("volume 65%")
    editor.nvim.input("<Space>")
    editor.until_noticed("volume 70%")


def test_keep_takes_words(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor, "rainy night")
    make_track(editor, "sunny morning")
    editor.command("Lofi keep rainy")
    editor.until_noticed("kept rainy")
    assert editor.requests("tracks_keep") == [{"track_ids": [track_id], "kept": True}]
    editor.command("Lofi keep polka")
    editor.until_noticed('no track\'s prompt contains "polka"')


def test_words_after_a_subcommand_that_takes_none_are_not_swallowed(editor: Editor) -> None:
    editor.fake()
    editor.command("Lofi pause for thought")
    editor.until_noticed("`:Lofi pause` takes no more words")
    assert editor.requests() == []


def test_a_stop_takes_autoplay_back(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_progress", "generation_complete", "playback_start")
    editor.command("Lofi soft keys")
    editor.until_heard("generation_progress")
    editor.command("Lofi stop")
    editor.until_requested("stop")
    editor.until_heard("generation_complete", 20)
    editor.lua("vim.wait(100)")
    assert editor.heard("playback_start") == []
    editor.command("Lofi other keys")
    editor.until_heard("playback_start", 20)


def test_it_is_said_what_happened(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    for command, said in [
        ("pause", "nothing plays"),
        ("resume", "nothing plays"),
        ("radio study", "radio: study"),
        ("radio rain", "rain after this track, :Lofi skip goes there now"),
        ("pause", "lofi: paused"),
        ("", "goes on"),
        ("device default", "plays on the system's default device"),
        ("device null", "plays to nobody now; :Lofi device default is the system's sound"),
        ("stop", "lofi: stopped"),
        ("skip", "nothing plays"),
    ]:
        before = editor.notices().count(said)
        editor.command(f"Lofi {command}")
        editor.until(lambda s=said, n=before: editor.notices().count(s) > n)
        if command == "radio study":
            editor.until_heard("playback_start")


def test_it_is_said_what_was_read_from_a_prompt(editor: Editor) -> None:
    editor.fake("understands")
    editor.command("Lofi generate slow piano without drums")
    editor.until_noticed("read as piano, 72 bpm, no drums")


def test_a_warning_about_a_finished_track_is_shown(editor: Editor) -> None:
    editor.fake("full_disk", announce="nothing")
    editor.command("Lofi generate slow piano")
    editor.until_noticed("the disk is full")


def test_each_track_is_said_where_that_is_wanted(editor: Editor) -> None:
    editor.fake(announce="tracks")
    editor.command("Lofi radio")
    editor.until_noticed("plays radio track 1, 1:00")


def test_nothing_is_said_where_that_is_wanted(editor: Editor) -> None:
    editor.fake(announce="nothing")
    editor.listen("playback_start", "playback_pause")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.command("Lofi pause")
    editor.until_heard("playback_pause")
    editor.lua("vim.wait(50)")
    assert editor.notices() == ""


def test_options_that_do_not_fit_are_one_line_too(editor: Editor) -> None:
    editor.lua("vim.g.lofi = { volume = 3 }")
    editor.command("Lofi")
    editor.until_noticed('unknown option "volume"; did you mean "player.volume"?')


def test_the_log_begins_with_what_a_bug_report_needs(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.command("Lofi log")
    page = "\n".join(editor.nvim.current.buffer[:])
    assert f"Neovim   {editor.lua('return tostring(vim.version())')}, 80 × 24" in page
    assert "Daemon   ready, version 0.0-fake" in page
    assert "device default" in page
    assert "generation_complete" in page
    assert '"rainy night" in 0.2 s, 30 s of music by demo' in page
