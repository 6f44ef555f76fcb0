"""Songs in the real editors: lyrics of a selection, of a range, of a buffer, and who sings them."""

from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor

SONG = ["the words:", "[verse]", "Rain on the pane", "", "[chorus]", "Stay a while", "and no more"]
SUNG = "[verse]\nRain on the pane\n\n[chorus]\nStay a while"


def write(editor: Editor, lines: list[str]) -> None:
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)", lines)


def test_selected_lines_are_sung_line_by_line(editor: Editor) -> None:
    editor.fake("ace_step sings")
    write(editor, SONG)
    editor.nvim.input("ggjV4j:Lofi lyrics slow piano duration=60 seed=7<CR>")
    assert editor.until_requested("generate") == {
        "prompt": "slow piano",
        "lyrics": SUNG,
        "backend": "ace_step",
        "duration_sec": 60,
        "seed": 7,
        "play": "early",
    }


def test_a_part_of_a_line_is_sung_as_it_is_selected(editor: Editor) -> None:
    editor.fake("ace_step sings")
    write(editor, ["sing: Rain on the pane", "Stay a while; now"])
    editor.nvim.input("gg6lvj5l:Lofi lyrics choir<CR>")
    assert editor.until_requested("generate")["lyrics"] == "Rain on the pane\nStay a while"


@pytest.mark.parametrize("command", ["%Lofi lyrics choir", "Lofi lyrics choir"])
def test_the_whole_buffer_is_sung(editor: Editor, command: str) -> None:
    editor.fake("ace_step sings")
    write(editor, ["", *SONG, ""])
    editor.command(command)
    sent = editor.until_requested("generate")
    assert (sent["prompt"], sent["lyrics"]) == ("choir", "\n".join(SONG))


def test_without_a_prompt_the_last_one_is_taken(editor: Editor) -> None:
    editor.fake("ace_step sings")
    write(editor, SONG)
    editor.listen("playback_start")
    editor.command("Lofi generate slow guitar")
    editor.until_heard("playback_start")
    editor.command("2,6Lofi lyrics")
    sent = editor.until(lambda: editor.requests("generate")[1:])[0]
    assert (sent["prompt"], sent["lyrics"]) == ("slow guitar", SUNG)


def test_a_prompt_of_another_day_is_the_newest_tracks(editor: Editor) -> None:
    editor.fake("ace_step sings", "library")
    write(editor, SONG)
    editor.command("%Lofi lyrics")
    assert editor.until_requested("generate")["prompt"] == "kept from yesterday"


def test_without_any_prompt_it_asks_what_the_music_should_be_like(editor: Editor) -> None:
    editor.fake("ace_step sings")
    write(editor, SONG)
    editor.command("%Lofi lyrics")
    editor.until_noticed("what should the music be like?")
    assert "generate" not in editor.requests()


def test_the_configured_model_sings_where_it_can(editor: Editor) -> None:
    editor.fake("ace_step sings", "demo sings", generate={"backend": "demo"})
    write(editor, SONG)
    editor.command("%Lofi lyrics choir")
    assert editor.until_requested("generate")["backend"] == "demo"


def test_the_configured_model_that_cannot_leaves_it_to_another(editor: Editor) -> None:
    editor.fake("ace_step sings", generate={"backend": "demo"})
    write(editor, SONG)
    editor.command("%Lofi lyrics choir")
    assert editor.until_requested("generate")["backend"] == "ace_step"


@pytest.mark.parametrize(
    ("behaviour", "words", "said"),
    [
        ("ace_step sings", "choir backend=demo", "demo takes no lyrics\nlofi: ace_step does."),
        ("plain", "choir", "no model that is ready takes lyrics\nlofi: Nothing here does."),
        ("musicgen sings", "choir", "takes lyrics\nlofi: :Lofi download musicgen gets one."),
        ("musicgen sings", "choir backend=musicgen", "musicgen is not installed"),
        ("ace_step sings", "choir steps=many", "steps=many is no number"),
    ],
)
def test_where_nobody_sings_it_is_said(
    editor: Editor, behaviour: str, words: str, said: str
) -> None:
    editor.fake(behaviour)
    write(editor, SONG)
    editor.command(f"%Lofi lyrics {words}")
    editor.until_noticed(said)
    assert editor.heard("playback_start") == []


def test_an_empty_buffer_is_not_sung(editor: Editor) -> None:
    editor.fake("ace_step sings")
    editor.command("%Lofi lyrics choir")
    assert "there is nothing to sing" in editor.notices()


def test_a_line_that_is_too_narrow_for_what_is_said_waits_for_nobody(
    editor: Editor,
) -> None:
    editor.fake("musicgen sings")
    write(editor, SONG)
    editor.lua("vim.o.columns = 40")
    editor.command("%Lofi lyrics choir")
    editor.until_noticed(":Lofi download musicgen")
