"""Music like other music in the real editors: of what plays, of a track, of a sound file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nvim.conftest import Editor
from tests.nvim.test_commands import make_track
from tests.nvim.test_completion import complete
from tests.nvim.test_editing import asked

COVERS = "ace_step covers"


@pytest.fixture
def music(editor: Editor) -> Path:
    """A folder with sound files and others, which the editor is in."""
    folder = editor.home / "music"
    (folder / "more").mkdir(parents=True)
    for name in ("song.wav", "slow song.flac", "notes.txt"):
        (folder / name).write_bytes(b"")
    editor.command(f"cd {folder}")
    return folder


def test_what_plays_is_where_new_music_begins(editor: Editor) -> None:
    editor.fake(COVERS)
    track = make_track(editor)
    made = {"source": track, "task": "from_audio", "backend": "ace_step", "play": "early"}
    assert asked(editor, "Lofi like slow flute") == {**made, "prompt": "slow flute"}
    assert asked(editor, "Lofi like strength=0.6 flute seed=7") == {
        **made,
        "prompt": "flute",
        "strength": 0.6,
        "seed": 7,
    }
    assert asked(editor, "Lofi like") == made


def test_a_track_may_be_named_by_its_id(editor: Editor) -> None:
    editor.fake(COVERS)
    named = make_track(editor, "slow guitar")
    assert make_track(editor) != named
    sent = asked(editor, f"Lofi like {named} flute")
    assert (sent["source"], sent["prompt"]) == (named, "flute")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("song.wav", "song.wav"),
        ("./song.wav", "song.wav"),
        (r"slow\ song.flac", "slow song.flac"),
        ("~/music/song.wav", "song.wav"),
    ],
)
def test_a_sound_file_is_sent_by_its_whole_path(
    editor: Editor, music: Path, typed: str, name: str
) -> None:
    editor.fake(COVERS)
    assert asked(editor, f"Lofi like {typed} strength=0.3 slow flute") == {
        "source": str(music / name),
        "task": "from_audio",
        "backend": "ace_step",
        "strength": 0.3,
        "prompt": "slow flute",
        "play": "early",
    }


def test_the_model_that_made_the_track_is_preferred(editor: Editor) -> None:
    editor.fake(COVERS, "demo covers")
    make_track(editor)
    assert asked(editor, "Lofi like flute")["backend"] == "demo"
    assert asked(editor, "Lofi like flute backend=ace_step")["backend"] == "ace_step"


@pytest.mark.parametrize(
    ("behaviour", "words", "said"),
    [
        ("plain", "flute", "no model that is ready makes music like other music"),
        ("musicgen covers", "flute", ":Lofi download musicgen gets one."),
        (COVERS, "flute backend=demo", "demo cannot make music like other music"),
        (COVERS, "strength=2 flute", "strength=2 is not how far to go"),
        (COVERS, "steps=many flute", "steps=many is no number"),
        (COVERS, "song.wav", "what should the music be like?"),
        (COVERS, "gone.wav flute", "there is no sound file /"),
    ],
)
def test_what_cannot_be_is_said(
    editor: Editor, music: Path, behaviour: str, words: str, said: str
) -> None:
    editor.fake(behaviour)
    make_track(editor)
    editor.command(f"Lofi like {words}")
    editor.until_noticed(said)
    assert len(editor.requests("generate")) == 1


def test_with_nothing_playing_it_says_so(editor: Editor) -> None:
    editor.fake(COVERS)
    editor.command("Lofi like flute")
    editor.until_noticed("nothing is playing")


def test_sound_files_are_completed(editor: Editor, music: Path) -> None:
    editor.fake(COVERS)
    assert complete(editor, "Lofi like so") == ["song.wav"]
    assert complete(editor, "Lofi like slow") == [r"slow\ song.flac"]
    assert complete(editor, r"Lofi like slow\ so") == [r"slow\ song.flac"]
    assert set(complete(editor, "Lofi like ")) == {"more/", "song.wav", r"slow\ song.flac"}
    assert complete(editor, "Lofi like song.wav st") == ["strength=", "steps="]


def test_tracks_are_completed_by_id(editor: Editor, music: Path) -> None:
    editor.fake(COVERS)
    track = make_track(editor)
    assert complete(editor, f"Lofi like {track[:4]}") == [track]


def test_the_picker_makes_music_like_a_track(editor: Editor) -> None:
    editor.fake(COVERS)
    track = make_track(editor)
    editor.lua(
        """
        vim.ui.input = function(_, answer) answer("flute, no drums") end
        for _, action in ipairs(require("lofi.pickers.track").actions) do
          if action.name == "like" then action.run({ track_id = ... }) end
        end
        """,
        track,
    )
    sent = editor.until(lambda: editor.requests("generate")[1:])[0]
    assert (sent["source"], sent["prompt"], sent["task"]) == (
        track,
        "flute, no drums",
        "from_audio",
    )
