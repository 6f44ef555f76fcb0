"""The parameters of `generate`, each declared once: name, type, range, default, help.

RPC validation, command-line flags, the radio's settings and the documentation are all read from
these fields. `parse` is the one way from a mapping of unknown origin to a checked model: it raises
the error that section 4 of the protocol has for the field, never a pydantic exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from lofi_daemon.errors import (
    InvalidBackend,
    InvalidDuration,
    InvalidGuidanceScale,
    InvalidInferenceSteps,
    InvalidParams,
    InvalidPrompt,
    InvalidScheduler,
    LofiError,
)

SchedulerName = Literal["euler", "heun", "pingpong"]
CfgType = Literal["apg", "cfg", "cfg_star"]

MAX_PROMPT_LENGTH = 512
DEFAULT_DURATION_SEC = 30.0
MAX_SEED = 2**64 - 1


class Parameters(BaseModel):
    """Base of everything a client can send: exact types, nothing unknown, never NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class SoundParameters(Parameters):
    """What shapes the sound besides the prompt. None means: the backend's own default."""

    duration_sec: float = Field(
        default=DEFAULT_DURATION_SEC,
        description="Length of the track in seconds: 5 to 240 (musicgen: 5 to 120).",
        json_schema_extra={"flag": "duration", "minimum": 5, "maximum": 240},
    )
    backend: str | None = Field(
        default=None,
        description="ace_step, musicgen or demo. Default: the configured one, else the best one "
        "installed.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same track: 0 to 2^64 - 1. Default: random.",
    )
    inference_steps: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Diffusion steps, 1 to 200: more is slower and better. ace_step and demo only.",
        json_schema_extra={"flag": "steps"},
    )
    scheduler: SchedulerName | None = Field(
        default=None,
        description="Solver of the diffusion: euler, heun (twice the work a step) or pingpong. "
        "ace_step and demo only.",
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=1.0,
        le=30.0,
        description="How closely to follow the prompt, 1.0 to 30.0. ace_step and demo only.",
        json_schema_extra={"flag": "guidance"},
    )
    cfg_type: CfgType | None = Field(
        default=None,
        description="Form of the guidance: apg, cfg or cfg_star. ace_step and demo only.",
    )
    erg: bool | None = Field(
        default=None,
        description="Entropy-rectifying guidance. Default: on where the model files can do it. "
        "ace_step and demo only.",
    )


class GenerationParameters(SoundParameters):
    """Everything `generate` takes."""

    prompt: str = Field(
        min_length=1,
        max_length=MAX_PROMPT_LENGTH,
        description="What the music should be like, in 1 to 512 characters.",
    )
    priority: Literal["normal", "high"] = Field(
        default="normal", description="high goes before every normal track that waits."
    )

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str) -> str:
        if not prompt.strip():
            raise PydanticCustomError("blank", "the prompt has only blanks")
        return prompt


ParametersT = TypeVar("ParametersT", bound=BaseModel)

# What a wrong value (of the right type) in a field is called. Everything else is InvalidParams.
_VALUE_ERRORS: Mapping[str, Callable[..., LofiError]] = {
    "prompt": InvalidPrompt,
    "prompts": InvalidPrompt,
    "duration_sec": InvalidDuration,
    "backend": InvalidBackend,
    "inference_steps": InvalidInferenceSteps,
    "scheduler": InvalidScheduler,
    "guidance_scale": InvalidGuidanceScale,
}

_VALUE_PROBLEMS = frozenset(
    {
        "blank",
        "string_too_short",
        "string_too_long",
        "string_unicode",
        "finite_number",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
    }
)


def parse(model: type[ParametersT], parameters: Mapping[str, Any]) -> ParametersT:
    """The checked model.

    Raises InvalidParams for unknown names, missing names and wrong types (naming them all), else
    the error that belongs to the first field whose value is out of range.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        raise _as_lofi_error(error.errors(include_url=False)) from None


def _as_lofi_error(problems: Sequence[ErrorDetails]) -> LofiError:
    unsuitable = [problem for problem in problems if not _is_value_problem(problem)]
    if unsuitable:
        return InvalidParams(
            "; ".join(_describe(problem) for problem in unsuitable[:8]),
            parameters=sorted({_name(problem) for problem in unsuitable})[:8],
        )
    problem = problems[0]
    error_class = _VALUE_ERRORS.get(str(problem["loc"][0]) if problem["loc"] else "", InvalidParams)
    return error_class(_describe(problem))


def _is_value_problem(problem: ErrorDetails) -> bool:
    if problem["type"] == "literal_error":
        return isinstance(problem["input"], str)
    if problem["type"] == "float_type":  # an integer beyond the range of floats
        return isinstance(problem["input"], int) and not isinstance(problem["input"], bool)
    return problem["type"] in _VALUE_PROBLEMS


def _name(problem: ErrorDetails) -> str:
    return ".".join(str(part) for part in problem["loc"])[:64]


def _describe(problem: ErrorDetails) -> str:
    name = _name(problem)
    if problem["type"] == "extra_forbidden":
        return f"unknown parameter '{name}'"
    if problem["type"] == "missing":
        return f"parameter '{name}' is missing"
    message = problem["msg"]
    return f"{name}: {message[:1].lower()}{message[1:]}" if name else message
