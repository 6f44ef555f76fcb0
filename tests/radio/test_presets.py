"""The radio's presets: what is bundled, and what users add."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import MAX_PROMPT_LENGTH
from lofi_daemon.radio.presets import DEFAULT_PRESET, find_preset, load_presets


def test_the_bundled_presets_are_ten_or_more_and_well_formed(tmp_path: Path) -> None:
    presets = load_presets(tmp_path / "none.json").by_name
    assert len(presets) >= 10
    assert DEFAULT_PRESET in presets
    prompts = [prompt for preset in presets.values() for prompt in preset.prompts]
    assert len(prompts) == len(set(prompts))
    for preset in presets.values():
        assert len(preset.prompts) >= 3
        assert preset.description.endswith(".")
        for prompt in preset.prompts:
            assert 40 <= len(prompt) <= MAX_PROMPT_LENGTH
            assert "instrumental" in prompt
            assert "bpm" in prompt


def test_own_presets_are_added_and_take_the_place_of_bundled_ones(tmp_path: Path) -> None:
    own = tmp_path / "radio.json"
    entries = [
        {"name": "frogs", "description": "A pond.", "prompts": ["frogs", "more frogs"]},
        {"name": "arcade", "prompts": ["mine"]},
    ]
    own.write_text(json.dumps(entries))
    presets = load_presets(own).by_name
    assert presets["frogs"].prompts == ("frogs", "more frogs")
    assert presets["arcade"].prompts == ("mine",)
    assert len(presets) == len(load_presets(tmp_path / "none.json").by_name) + 1


def test_a_preset_is_found_whatever_the_case_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    none = tmp_path / "none.json"
    assert find_preset("Coffee SHOP", none).name == "coffee shop"
    assert find_preset(None, none).name == DEFAULT_PRESET
    with pytest.raises(InvalidParams, match="polka") as failure:
        find_preset("polka", none)
    assert "coffee shop" in failure.value.hint
    assert str(none) in failure.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 1"),
        ('[{"name": "x", "prompts": ["a"], "description": 1e999}]', "not a finite number"),
        ("{}", "not a list"),
        ('["x"]', "entry 1 .* it is not an object"),
        ('[{"prompts": ["a"]}]', "entry 1 .* it needs a name"),
        ('[{"name": "x"}]', "needs a list of prompts"),
        ('[{"name": "x", "prompts": []}]', "needs a list of prompts"),
        ('[{"name": "x", "prompts": [" "]}]', "a prompt is text"),
        ('[{"name": "x", "prompts": ["a"], "description": 1}]', "must be text"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    own = tmp_path / "radio.json"
    own.write_text(text)
    presets = load_presets(own)
    assert presets.problem is not None
    assert re.search(problem, presets.problem.message)
    assert str(own) in presets.problem.message
    assert len(presets.by_name) >= 10


def unreadable(folder: Path, kind: str) -> Path:
    """A file of presets that nobody can read, for one reason or another."""
    folder.mkdir()
    file = folder / "radio.json"
    if kind == "below a file":
        (folder / "x").write_text("")
        return folder / "x" / "radio.json"
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a folder":
        file.mkdir()
    elif kind == "a link to nothing":
        file.symlink_to(folder / "gone")
    elif kind == "a long name":
        return folder / ("x" * 300) / "radio.json"
    elif kind == "no text":
        file.write_bytes(b"\xff\xfe")
    return file


@pytest.mark.parametrize(
    "kind", ["a pipe", "a folder", "a link to nothing", "a long name", "no text", "below a file"]
)
def test_a_file_that_cannot_be_read_takes_no_bundled_preset_along(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = unreadable(tmp_path / "config", kind)
    presets = load_presets(file)
    assert len(presets.by_name) >= 10
    assert presets.problem is not None
    assert str(file) in presets.problem.message
    assert find_preset("coffee shop", file).name == "coffee shop"
    assert str(file) in caplog.text
    with pytest.raises(InvalidParams, match="cannot be"):
        find_preset("my own", file)
