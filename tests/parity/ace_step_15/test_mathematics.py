"""Prompt strings, schedules, correction, guidance: against numbers of the original code."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.correction import corrected
from lofi_daemon.backends.ace_step_15.guidance import adaptive_projected, classifier_free
from lofi_daemon.backends.ace_step_15.prompt import (
    INSTRUCTION,
    LANGUAGES,
    Facts,
    caption_text,
    lyric_text,
)
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from tests.parity.ace_step_15.reference import REFERENCE, assert_same, pipeline_cases

CASES = pipeline_cases()
SCHEDULES = REFERENCE["schedules"]
CORRECTIONS = REFERENCE["dcw"]
MAX_TURBO_STEPS = 20


def as_list(value: object, count: int) -> list[object]:
    return value if isinstance(value, list) else [value] * count


@pytest.mark.parametrize("name", CASES)
def test_texts_are_the_originals_to_the_newline(name: str) -> None:
    case = CASES[name]
    given, count = case["kwargs"], len(case["text"])
    prompts = as_list(given["prompt"], count)
    lyrics = as_list(given.get("lyrics", ""), count)
    languages = as_list(given.get("vocal_language", "en"), count)
    facts = Facts(
        bpm=given.get("bpm"), key=given.get("keyscale"), time_signature=given.get("timesignature")
    )
    for index in range(count):
        task = re.match(r"# Instruction\n(.*)\n", case["text"][index])
        assert task is not None
        text = caption_text(str(prompts[index]), facts, given["audio_duration"], task[1])
        assert text == case["text"][index]
        assert lyric_text(str(lyrics[index]), str(languages[index])) == case["lyrics"][index]


def test_the_instruction_is_that_of_text_to_music() -> None:
    assert f"# Instruction\n{INSTRUCTION}\n" in CASES["vocal"]["text"][0]
    assert len(LANGUAGES) == len(set(LANGUAGES)) == 51


@pytest.mark.parametrize(
    "name", [name for name in SCHEDULES if re.fullmatch(r"(turbo|base)\.N\d+\.shift[\d.]+", name)]
)
def test_levels_of_any_step_count(name: str) -> None:
    kind, steps, shift = re.fullmatch(r"(\w+)\.N(\d+)\.shift([\d.]+)", name).groups()  # type: ignore[union-attr]
    if kind == "turbo" and int(steps) > MAX_TURBO_STEPS:
        pytest.skip("the original cuts the count of a turbo model; here it is refused")
    levels = noise_levels(int(steps), float(shift))
    assert_same(levels[:-1], SCHEDULES[name])
    assert levels[-1] == 0.0


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_eight_levels_are_those_the_turbo_model_was_distilled_for(shift: int) -> None:
    assert_same(noise_levels(8, shift)[:-1], SCHEDULES[f"turbo.shift{shift}"])


@pytest.mark.parametrize("name", [name for name in CORRECTIONS if ".double." in name])
def test_correction_of_one_step(name: str) -> None:
    frames, level = re.fullmatch(r"(T\d+)\.double\.t(.+)", name).groups()  # type: ignore[union-attr]
    latents, clean = CORRECTIONS[f"{frames}.x"], CORRECTIONS[f"{frames}.denoised"]
    assert_same(corrected(latents, clean, float(level)), CORRECTIONS[name])


def test_guidance_over_time_with_momentum_over_calls() -> None:
    apg = REFERENCE["apg"]
    momentum = None
    for call in range(3):
        conditional, unconditional = apg[f"call{call}.cond"], apg[f"call{call}.uncond"]
        alone, _ = adaptive_projected(conditional, unconditional, 7.0, None)
        assert_same(alone, apg[f"call{call}.out_g7_no_momentum"])
        plain = classifier_free(conditional, unconditional, 7.0)
        assert_same(plain, apg[f"call{call}.cfg_g7"])
        out, momentum = adaptive_projected(conditional, unconditional, 7.0, momentum)
        assert_same(out, apg[f"call{call}.out_g7"])
        assert_same(momentum, apg[f"call{call}.momentum_after"])


def test_reference_numbers_are_not_trivial() -> None:
    assert np.abs(CORRECTIONS["T8.double.t1.0"] - CORRECTIONS["T8.x"]).max() > 1e-3
