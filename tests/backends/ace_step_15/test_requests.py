"""Options, defaults and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from lofi_daemon.backends.ace_step_15.bundle import BASE_DEFAULTS, Manifest
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.ace_step_15.requests import (
    Piece,
    expected_seconds,
    iterations_of,
    model_calls,
    piece_of,
    resolve,
)
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.errors import InvalidInferenceSteps, InvalidParams
from lofi_daemon.parameters import MAX_SEED, parse

TURBO = Manifest(model_version="1.5-turbo-int8", precision="int8")
BASE = Manifest(
    model_version="1.5-base-int8",
    precision="int8",
    kind="base",
    is_turbo=False,
    defaults=BASE_DEFAULTS,
)


def asked(
    prompt: str = "lofi", seed: int = 5, sec: float = 30.0, **options: Any
) -> GenerationRequest:
    return GenerationRequest(prompt, sec, seed, parse(AceStep15Options, options))


def test_turbo_defaults() -> None:
    piece = piece_of(asked(), TURBO)
    assert (piece.inference_steps, piece.shift, piece.dcw) == (8, 3.0, True)
    assert (piece.scheduler, piece.guidance_scale) == ("euler", 1.0)
    assert (piece.lyrics_to_sing, piece.language) == ("[Instrumental]", "unknown")
    assert model_calls(piece, TURBO) == 8


def test_base_defaults() -> None:
    piece = piece_of(asked(), BASE)
    assert (piece.inference_steps, piece.shift, piece.dcw) == (50, 1.0, False)
    assert model_calls(piece, BASE) == 100
    assert iterations_of(piece_of(asked(scheduler="heun", inference_steps=4), BASE), BASE) == 8
    assert iterations_of(piece_of(asked(scheduler="heun"), TURBO), TURBO) == 15


def test_words_of_the_prompt_are_facts_and_options_go_before_them() -> None:
    resolved = resolve(asked("70 bpm in A minor, 6/8", bpm=80), TURBO)
    given = resolved.options.given
    assert (given["bpm"], given["key"], given["time_signature"]) == (80, "A minor", "6")
    assert resolve(resolved, TURBO) == resolved


def test_a_variation_goes_to_the_next_seed_unless_said() -> None:
    assert "variation_seed" not in resolve(asked(), TURBO).options.given
    assert resolve(asked(variation=0.3), TURBO).options.given["variation_seed"] == 6
    last = resolve(asked(seed=MAX_SEED, variation=0.3), TURBO)
    assert last.options.given["variation_seed"] == 0
    said = resolve(asked(variation=0.3, variation_seed=9), TURBO)
    assert said.options.given["variation_seed"] == 9


@pytest.mark.parametrize(
    "options",
    [
        {"key": "H minor"},
        {"key": "A Minor"},
        {"bpm": 29},
        {"bpm": 301},
        {"time_signature": "5"},
        {"lyrics": " \n"},
        {"lyrics": "a\x1b[2Jb"},
        {"lyrics": "a" * 4096},
        {"language": "xx", "lyrics": "la"},
        {"shift": 0.5},
        {"variation": 1.1},
        {"dcw": "yes"},
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        asked(**options)


def test_turbo_refuses_guidance_and_more_steps_than_it_knows() -> None:
    with pytest.raises(InvalidParams, match="guidance_scale"):
        piece_of(asked(guidance_scale=7.0), TURBO)
    with pytest.raises(InvalidInferenceSteps, match="20"):
        piece_of(asked(inference_steps=21), TURBO)
    assert piece_of(asked(inference_steps=21, guidance_scale=7.0), BASE).inference_steps == 21


def test_a_language_needs_lyrics() -> None:
    with pytest.raises(InvalidParams, match="language"):
        piece_of(asked(language="en"), TURBO)
    piece = piece_of(asked(language="en", lyrics="[verse]\nla"), TURBO)
    assert (piece.lyrics_to_sing, piece.language) == ("[verse]\nla", "en")


def test_five_seconds_are_made_longer_and_ten_minutes_fit() -> None:
    def frames(sec: float) -> int:
        return TURBO.audio.track_frames(sec)

    assert frames(5.0) == 128
    assert frames(12.34) == 309
    assert frames(600.0) == 15_000


def test_cost_is_linear_in_the_length() -> None:
    def diffusing(sec: float) -> float:
        piece: Piece = piece_of(asked(sec=sec), TURBO)
        return expected_seconds(piece, TURBO)[Phase.DIFFUSING]

    assert diffusing(120.0) == pytest.approx(4.0 * diffusing(30.0))
