"""Every field and kind of failure gets the error that the protocol has for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lofi_daemon.parameters
from lofi_daemon.backends.options import given_options
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import InvalidParams, LofiError
from lofi_daemon.parameters import GenerationParameters as SharedParameters
from lofi_daemon.parameters import Parameters, parse
from lofi_daemon.rpc.methods.playback import PlayFilesParameters
from lofi_daemon.rpc.methods.radio import RadioStartParameters
from lofi_daemon.rpc.methods.tracks import TracksKeepParameters

GenerationParameters = Registry(Settings()).taking_options(SharedParameters)


def test_only_a_prompt_is_needed() -> None:
    parameters = parse(GenerationParameters, {"prompt": "rain"})
    assert parameters.duration_sec == 30.0
    assert parameters.priority == "normal"
    assert given_options(parameters) == {}


def test_an_integer_is_a_duration() -> None:
    assert parse(GenerationParameters, {"prompt": "rain", "duration_sec": 7}).duration_sec == 7.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"inference_steps": 999}, "inference_steps: must be at most 200, not 999"),
        ({"seed": -1}, "seed: must be at least 0, not -1"),
        ({"scheduler": "magic"}, "or 'adams', not 'magic'"),
        ({"duration_sec": "long"}, "a valid number, not 'long'"),
        ({"seed": -(10**5000)}, "not a number that long"),
    ],
)
def test_a_refusal_says_what_was_given_and_what_is_allowed(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(LofiError) as caught:
        parse(GenerationParameters, {"prompt": "rain", **parameters})
    assert message in caught.value.message


def test_the_largest_seed() -> None:
    assert parse(GenerationParameters, {"prompt": "a", "seed": 2**64 - 1}).seed == 2**64 - 1


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "INVALID_PARAMS"),
        ({"prompt": ""}, "INVALID_PROMPT"),
        ({"prompt": " \t\n\u3000"}, "INVALID_PROMPT"),
        ({"prompt": "x" * 513}, "INVALID_PROMPT"),
        ({"prompt": "\ud800"}, "INVALID_PROMPT"),
        ({"prompt": 3}, "INVALID_PARAMS"),
        ({"prompt": None}, "INVALID_PARAMS"),
        ({"prompt": ["a"]}, "INVALID_PARAMS"),
        ({"duration_sec": "30"}, "INVALID_PARAMS"),
        ({"duration_sec": True}, "INVALID_PARAMS"),
        ({"duration_sec": None}, "INVALID_PARAMS"),
        ({"duration_sec": 10**400}, "INVALID_DURATION"),
        ({"inference_steps": 0}, "INVALID_INFERENCE_STEPS"),
        ({"inference_steps": 201}, "INVALID_INFERENCE_STEPS"),
        ({"inference_steps": 60.5}, "INVALID_PARAMS"),
        ({"inference_steps": True}, "INVALID_PARAMS"),
        ({"scheduler": "ddim"}, "INVALID_SCHEDULER"),
        ({"scheduler": 1}, "INVALID_PARAMS"),
        ({"guidance_scale": 0.99}, "INVALID_GUIDANCE_SCALE"),
        ({"guidance_scale": 30.01}, "INVALID_GUIDANCE_SCALE"),
        ({"guidance_scale": math.inf}, "INVALID_GUIDANCE_SCALE"),
        ({"guidance_scale": math.nan}, "INVALID_GUIDANCE_SCALE"),
        ({"guidance_scale": "15"}, "INVALID_PARAMS"),
        ({"cfg_type": "none"}, "INVALID_PARAMS"),
        ({"erg": 1}, "INVALID_PARAMS"),
        ({"seed": -1}, "INVALID_PARAMS"),
        ({"seed": 2**64}, "INVALID_PARAMS"),
        ({"seed": 1.5}, "INVALID_PARAMS"),
        ({"seed": 1e300}, "INVALID_PARAMS"),
        ({"seed": float("inf")}, "INVALID_PARAMS"),
        ({"priority": "low"}, "INVALID_PARAMS"),
        ({"backend": 3}, "INVALID_PARAMS"),
        ({"steps": 60}, "INVALID_PARAMS"),
    ],
)
def test_what_is_wrong_gets_its_own_error(parameters: dict[str, Any], name: str) -> None:
    if parameters and "prompt" not in parameters:
        parameters = {"prompt": "rain", **parameters}
    with pytest.raises(LofiError) as error:
        parse(GenerationParameters, parameters)
    assert error.value.name == name
    assert error.value.hint


def test_unknown_and_missing_names_are_all_named() -> None:
    with pytest.raises(LofiError) as error:
        parse(GenerationParameters, {"steps": 60, "length": 3, "guidance_scale": 99})
    for name in ("steps", "length", "prompt"):
        assert f"'{name}'" in error.value.message
    assert error.value.data["parameters"] == ["length", "prompt", "steps"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(sorted(GenerationParameters.model_fields)) | st.text(), JSON)
)
def test_anything_is_accepted_or_refused_with_an_error_of_ours(parameters: dict[str, Any]) -> None:
    message = "accepted"
    try:
        parse(GenerationParameters, parameters)
    except LofiError as error:
        message = error.message
    assert 0 < len(message) < 2000


@pytest.mark.parametrize(("written", "seed"), [(1.2e18, 12 * 10**17), (3.0, 3), (-0.0, 0)])
def test_a_whole_number_may_be_written_as_a_float(written: float, seed: int) -> None:
    parsed = parse(GenerationParameters, {"prompt": "a", "seed": written}).seed
    assert (parsed, type(parsed)) == (seed, int)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (GenerationParameters, {f"unknown_{number}": 1 for number in range(10_000)}),
        (PlayFilesParameters, {"files": ["not a file's address"] * 10_000}),
        (TracksKeepParameters, {"track_ids": [1] * 10_000, "kept": True}),
        (RadioStartParameters, {"prompts": [" "] * 1_000}),
    ],
)
def test_a_request_full_of_mistakes_costs_little(
    model: type[Parameters], parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake that pydantic tells of costs ten microseconds of the event loop."""
    told: list[int] = []
    as_lofi_error = lofi_daemon.parameters._as_lofi_error

    def counted(problems: Sequence[Any], errors: Any, missing: Sequence[str]) -> LofiError:
        told.append(len(problems))
        return as_lofi_error(problems, errors, missing)

    monkeypatch.setattr(lofi_daemon.parameters, "_as_lofi_error", counted)
    with pytest.raises(LofiError):
        parse(model, parameters)
    assert told[0] <= 1_000


def test_of_many_unknown_names_the_first_are_named() -> None:
    with pytest.raises(InvalidParams) as refusal:
        parse(GenerationParameters, {"zebra": 1, **dict.fromkeys(map(str, range(100)), 1)})
    assert "parameter 'prompt' is missing" in refusal.value.message
    assert "unknown parameter 'zebra'" in refusal.value.message
