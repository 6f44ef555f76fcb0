"""Music from music in the real editors: again, vary, extend, redo, and families in the picker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nvim.conftest import Editor
from tests.nvim.test_commands import make_track


def asked(editor: Editor, command: str) -> dict[str, Any]:
    """What the daemon is asked for by a command."""
    before = len(editor.requests("generate"))
    editor.command(command)
    return editor.until(lambda: editor.requests("generate")[before:])[0]


def test_what_plays_is_varied_extended_and_made_anew_in_part(editor: Editor) -> None:
    editor.fake()
    track = make_track(editor)
    length = editor.lua("return require('lofi.player').state().duration_sec")
    source = {"source": track, "play": "early"}
    assert asked(editor, "Lofi vary 0.5") == {**source, "task": "variation", "strength": 0.5}
    assert asked(editor, "Lofi extend 60") == {
        **source,
        "task": "extend",
        "span": [length, length + 60],
    }
    assert asked(editor, "Lofi vary 0.5 steps=8") == {
        **source,
        "task": "variation",
        "strength": 0.5,
        "inference_steps": 8,
    }
    assert asked(editor, "Lofi extend 60 steps=8")["inference_steps"] == 8
    piano = asked(editor, "Lofi redo 5-8 piano seed=3")
    assert (piano["prompt"], piano["seed"]) == ("piano", 3)
    assert asked(editor, "Lofi redo 0:10-1:10") == {**source, "task": "repaint", "span": [10, 70]}
    assert asked(editor, "Lofi redo 5-8.5 flute, no drums") == {
        **source,
        "task": "repaint",
        "span": [5, 8.5],
        "prompt": "flute, no drums",
    }


def test_a_track_that_is_named_goes_before_what_plays(editor: Editor) -> None:
    editor.fake()
    named = make_track(editor, "slow guitar")
    playing = make_track(editor)
    assert named != playing
    assert asked(editor, "Lofi vary slow guitar")["source"] == named
    assert asked(editor, "Lofi extend 10 guitar")["source"] == named
    assert asked(editor, f"Lofi redo {named} 1-2")["source"] == named
    assert asked(editor, f"Lofi vary {named}") == {
        "task": "variation",
        "source": named,
        "play": "early",
    }


def test_again_is_the_same_words_with_another_seed(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    editor.command("Lofi generate rainy night seed=5 steps=27")
    editor.until_heard("playback_start")
    again = asked(editor, "Lofi again")
    assert (again["prompt"], again["inference_steps"]) == ("rainy night", 27)
    assert "seed" not in again


def test_again_of_a_longer_track_extends_its_source_again(editor: Editor) -> None:
    editor.fake()
    make_track(editor)
    editor.lua(
        "require('lofi.editing').make_again({ track_id = 'b', prompt = 'rain', task = 'extend',"
        " source = '0123456789abcdef', span = { 30, 60 }, backend = 'demo' })"
    )
    assert editor.until(lambda: editor.requests("generate")[1:])[0] == {
        "task": "extend",
        "source": "0123456789abcdef",
        "span": [30, 60],
        "backend": "demo",
        "prompt": "rain",
        "play": "early",
    }


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("vary 3", "3 is not how far to go: that is from 0 to 1"),
        ("extend 0", "0 seconds are no more"),
        ("redo", "which part should be made anew?"),
        ("vary 0.5 stepz=8", 'unknown parameter "stepz"'),
        ("redo flute", "which part should be made anew?"),
        ("redo 1:2-3", "which part should be made anew?"),
    ],
)
def test_what_cannot_be_right_is_said_at_once(editor: Editor, command: str, said: str) -> None:
    editor.fake()
    editor.command(f"Lofi {command}")
    assert said in editor.notices()
    assert editor.requests("generate") == []


@pytest.mark.parametrize("command", ["again", "vary", "extend 60", "redo 1-2"])
def test_with_nothing_playing_and_nothing_named_it_says_so(editor: Editor, command: str) -> None:
    editor.fake()
    editor.command(f"Lofi {command}")
    editor.until(lambda: "nothing is playing" in editor.notices())


def test_the_picker_shows_where_a_track_came_from(editor: Editor) -> None:
    editor.fake()
    track = (
        "{ track_id = 'b', prompt = 'rain', duration_sec = 60, seed = 1, backend = 'demo',"
        " created_at = '2026-03-01T12:00:00.000Z', waveform = {}, %s }"
    )

    def shown(what: str, facts: str) -> Any:
        return editor.lua(f"return require('lofi.pickers.track').{what}({track % facts})")

    plain, longer = (
        "kept = false",
        "parent = '0123456789abcdef', task = 'extend', span = { 30, 60 }",
    )
    assert "↳ rain" in shown("label", longer)
    assert "↳" not in shown("label", plain)
    assert len(shown("label", longer)) == len(shown("label", plain))
    assert shown("origin", longer) == "0123456789abcdef, extend 0:30-1:00"
    assert shown("origin", "parent = '0123456789abcdef'") == "0123456789abcdef, variation"
    assert shown("origin", "task = 'repaint', source = '/x.wav', span = { 1, 2 }") == (
        "/x.wav, repaint 0:01-0:02"
    )
    assert shown("origin", plain) is None
    assert any("from" in line for line in shown("details", longer))
