"""What every backend declares, on one flat list, and each backend's own word on a value."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from lofi_daemon.backends.options import declared, given_options, with_backends
from lofi_daemon.backends.protocol import BackendInfo, GenerationRequest, parse_options
from lofi_daemon.errors import InvalidGuidanceScale, InvalidParams, InvalidScheduler
from lofi_daemon.parameters import GenerationParameters, Options, parse


class Plain(Options):
    errors: ClassVar = {"scheduler": InvalidScheduler, "guidance": InvalidGuidanceScale}

    steps: int | None = Field(default=None, ge=1, le=10, description="Steps.")
    scheduler: Literal["euler", "heun"] | None = Field(default=None, description="Solver.")
    guidance: float | None = Field(default=None, ge=1.0, le=5.0, description="Guidance.")


class Other(Options):
    steps: int | None = Field(default=None, ge=4, le=99, description="Steps.")
    scheduler: Literal["euler", "adams"] | None = Field(default=None, description="Solver.")
    key: str | None = Field(
        default=None, max_length=5, description="Key.", json_schema_extra={"flag": "music_key"}
    )


def info(name: str, options: type[Options], longest: float = 240.0) -> BackendInfo:
    return BackendInfo(name, f"The {name}", 48000, 5.0, longest, options)


PLAIN, OTHER, NONE = info("plain", Plain), info("other", Other), info("none", Options, 120.0)
FLAT = with_backends(GenerationParameters, [PLAIN, OTHER, NONE])


def test_the_flat_model_has_every_option_once_with_the_names_of_its_backends() -> None:
    fields = {option.name: option for option in declared(FLAT)}
    assert list(fields)[-4:] == ["steps", "scheduler", "guidance", "key"]
    assert fields["steps"].help == "Steps. plain and other only."
    assert (fields["steps"].minimum, fields["steps"].maximum) == (1, 99)
    assert fields["scheduler"].choices == ("euler", "heun", "adams")
    assert fields["guidance"].type == "number"
    assert (fields["key"].flag, fields["key"].key) == ("music-key", "music_key")
    assert fields["duration_sec"].help.endswith("5 to 240 (none: 5 to 120).")
    assert "plain, other or none" in fields["backend"].help


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"steps": 0}, InvalidParams),
        ({"steps": 100}, InvalidParams),
        ({"scheduler": "ddim"}, InvalidScheduler),
        ({"guidance": 6.0}, InvalidGuidanceScale),
        ({"key": "a minor"}, InvalidParams),
        ({"tempo": 3}, InvalidParams),
    ],
)
def test_what_no_backend_takes_is_refused_at_once(given: dict[str, Any], error: type) -> None:
    with pytest.raises(error) as failure:
        parse(FLAT, {"prompt": "rain", **given})
    assert next(iter(given)) in failure.value.message


@pytest.mark.parametrize(
    "given", [{"steps": 99}, {"steps": 1}, {"scheduler": "adams"}, {"guidance": 5}, {"key": "c"}]
)
def test_what_any_backend_takes_is_accepted_and_handed_on(given: dict[str, Any]) -> None:
    parameters = parse(FLAT, {"prompt": "rain", "seed": 1, **given})
    assert given_options(parameters) == given


@pytest.mark.parametrize(
    ("kind", "given", "error"),
    [
        (Plain, {"steps": 99}, InvalidParams),
        (Plain, {"scheduler": "adams"}, InvalidScheduler),
        (Other, {"steps": 1}, InvalidParams),
    ],
)
def test_the_chosen_backend_has_the_last_word(
    kind: type[Options], given: dict[str, Any], error: type
) -> None:
    with pytest.raises(error, match=next(iter(given))):
        parse_options(kind, given)


def test_an_option_that_a_backend_does_not_take_is_refused_by_name_with_what_it_takes() -> None:
    with pytest.raises(InvalidParams, match="The other has no guidance, scales") as failure:
        parse_options(Other, {"guidance": 2.0, "steps": 5, "scales": 1}, "The other")
    assert failure.value.data["parameters"] == ["guidance", "scales"]
    assert "it takes steps, scheduler, key" in failure.value.hint


def test_a_request_is_read_as_the_class_that_a_backend_declares() -> None:
    request = GenerationRequest("rain", 5.0, 1, Plain(steps=5))
    assert request.options_as(Plain) is request.options
    assert request.options_as(Other) == Other(steps=5)
    with pytest.raises(InvalidParams, match="no steps"):
        request.options_as(Options)


def test_shared_options_are_read_out_of_a_class_of_more() -> None:
    class More(Plain):
        words: str | None = None

    more = More(steps=5, words="la")
    request = GenerationRequest("rain", 5.0, 1, more)
    assert request.shared_options(Plain) is more
    with pytest.raises(InvalidParams, match="no words"):
        request.options_as(Plain)


def test_one_name_of_two_types_is_a_mistake_of_ours() -> None:
    class Wrong(Options):
        steps: str | None = None

    with pytest.raises(TypeError, match="steps"):
        with_backends(GenerationParameters, [PLAIN, info("wrong", Wrong)])
