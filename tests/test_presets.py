"""The radio's presets: what is bundled, and what users add."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import MAX_PROMPT_LENGTH
from lofi_daemon.presets import DEFAULT_PRESET, find_preset, load_presets


def test_the_bundled_presets_are_ten_or_more_and_well_formed(tmp_path: Path) -> None:
    presets = load_presets(tmp_path / "none.json")
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
    presets = load_presets(own)
    assert presets["frogs"].prompts == ("frogs", "more frogs")
    assert presets["arcade"].prompts == ("mine",)
    assert len(presets) == len(load_presets(tmp_path / "none.json")) + 1


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
    with pytest.raises(InvalidParams, match=problem) as failure:
        load_presets(own)
    assert str(own) in failure.value.message
