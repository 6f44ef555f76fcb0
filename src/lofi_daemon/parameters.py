"""The parameters of `generate`, each declared once: name, type, range, default, help.

RPC validation, command-line flags, the plugin's table, the radio's settings and the documentation
are all read from these fields. Here stand those that every model takes; what only some take is
declared beside the model, in a class of its own (`Options`), and stands beside them on the wire.
`parse` is the one way from a mapping of unknown origin to a checked model: it raises the error that
section 4 of the protocol has for the field, never a pydantic exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from lofi_daemon.config import TrackFormat
from lofi_daemon.errors import (
    InvalidBackend,
    InvalidDuration,
    InvalidParams,
    InvalidPrompt,
    LofiError,
)
from lofi_daemon.text import shown

MAX_PROMPT_LENGTH = 512
DEFAULT_DURATION_SEC = 30.0
MAX_SEED = 2**64 - 1
# More mistakes than these are not told of.
MAX_NAMED = 8
# A longer integer is not written out.
LONGEST_TOLD_BITS = 200

TaskName = Literal["variation", "extend", "repaint", "from_audio", "flow"]


def _not_blank(prompt: str) -> str:
    if not prompt.strip():
        raise PydanticCustomError("blank", "the prompt has only blanks")
    return prompt


Prompt = Annotated[
    str, Field(min_length=1, max_length=MAX_PROMPT_LENGTH), AfterValidator(_not_blank)
]


class Parameters(BaseModel):
    """Base of everything a client can send: exact types, nothing unknown, never NaN.

    `errors`: what a wrong value (of the right type) in a field is called; InvalidParams where a
    field is not there.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    errors: ClassVar[Mapping[str, type[LofiError]]] = {}

    @classmethod
    def missing(cls, given: Mapping[str, Any]) -> list[str]:
        """The names that are missing because of what else is given."""
        return []


class Options(Parameters):
    """What one backend takes beyond prompt, length and seed: a backend declares a class of these.

    Every field is None where the backend's own default is meant. `description` is its help, and
    `json_schema_extra` may say its short name on the command line (`flag`) and in the editor
    (`key`, the flag where it says nothing). Two backends may declare the same name with other
    ranges or choices, but with one type and one meaning.
    A track is known by the options that were set: resolving a request must leave a field that is
    added later at None where its default is the sound there was before.
    """

    @property
    def given(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return self.model_dump(exclude_none=True)

    @property
    def expected_steps(self) -> int:
        """How many steps progress will count, as far as that is known before the work begins."""
        return 0


class SoundParameters(Parameters):
    """What shapes the sound besides the prompt. None means: the backend's own default.

    The backends' options stand beside these in a class that `backends.options` makes of this one.
    """

    errors: ClassVar[Mapping[str, type[LofiError]]] = {
        "prompt": InvalidPrompt,
        "prompts": InvalidPrompt,
        "duration_sec": InvalidDuration,
        "backend": InvalidBackend,
    }

    duration_sec: float = Field(
        default=DEFAULT_DURATION_SEC,
        description="Length of the track in seconds; each backend has its range.",
        json_schema_extra={"flag": "duration"},
    )
    backend: str | None = Field(
        default=None,
        description="Which model makes the track. Default: the configured one, else the best one "
        "installed.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same track: 0 to 2^64 - 1. Default: random.",
    )


class TrackParameters(SoundParameters):
    """What one track is asked for with."""

    prompt: Prompt = Field(
        description="What the music should be like, in 1 to 512 characters.",
    )


class GenerationParameters(TrackParameters):
    """Everything `generate` takes. Where a task is given, what is left out is the source's."""

    prompt: Prompt = Field(
        default="",
        description="What the music should be like, in 1 to 512 characters. With a task the "
        "source's own where it is left out, without one required.",
    )
    task: TaskName | None = Field(
        default=None,
        description="What to make of a source: a variation of it, more of it (extend), a part of "
        "it anew (repaint), new music from it (from_audio), or a track of its own that goes on "
        "where it turns to its end (flow). `get_backends` says who does what.",
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="What a task begins with: the id of a track, or the absolute path of a sound "
        "file of at most ten minutes.",
    )
    span: list[float] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="From where to where there is new music, two numbers in seconds of the source. "
        "For extend one end lies outside the source; default: half a minute at its end.",
    )
    strength: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="How far a task goes from its source, 0.0 to 1.0: at 0 from_audio is the "
        "source itself, at 1 a track that has nothing of it.",
    )
    priority: Literal["normal", "high"] = Field(
        default="normal",
        description="normal or high: high goes before every normal track that waits.",
    )
    play: Literal["early", "ready"] | None = Field(
        default=None,
        description="Play it: early, while the rest of it is still being made, or once it is "
        "ready. Default: not at all.",
    )
    format: TrackFormat | None = Field(
        default=None,
        description="How the file is written: wav16, wav24, flac or flac24. A track that is there "
        "already stays as it is. Default: the configured one.",
    )

    @classmethod
    def missing(cls, given: Mapping[str, Any]) -> list[str]:
        task = given.get("task")
        if task is None:
            return [] if "prompt" in given else ["prompt"]
        needed = ("source", "span") if task == "repaint" else ("source",)
        return [name for name in needed if given.get(name) is None]

    @model_validator(mode="after")
    def _nothing_without_its_task(self) -> GenerationParameters:
        every = get_args(TaskName)
        takers = {"source": every, "span": ("repaint", "extend"), "strength": every}
        for name, tasks in takers.items():
            if getattr(self, name) is not None and self.task not in tasks:
                raise PydanticCustomError(
                    "task",
                    "{parameter}: only for the task {tasks}",
                    {"parameter": name, "tasks": " or ".join(tasks)},
                )
        return self


ParametersT = TypeVar("ParametersT", bound=Parameters)

_LIMITS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_VALUE_PROBLEMS = frozenset(
    {
        "blank",
        "string_too_short",
        "string_too_long",
        "string_unicode",
        "finite_number",
        *_LIMITS,
    }
)


def parse(model: type[ParametersT], parameters: Mapping[str, Any]) -> ParametersT:
    """The checked model.

    A whole number may come as a float (1.2e18), as languages whose numbers are all floats write it.
    Raises InvalidParams for unknown names, missing names and wrong types (naming them all), else
    the error that belongs to the first field whose value is out of range.
    """
    missing = model.missing(parameters)
    try:
        made = model.model_validate(_few_unknown(model, parameters))
    except ValidationError as error:
        exact = _integral(error.errors(include_url=False))
        if exact:
            return parse(model, {**parameters, **exact})
        raise _as_lofi_error(error.errors(include_url=False), model.errors, missing) from None
    if missing:
        raise _as_lofi_error([], model.errors, missing)
    return made


def _few_unknown(model: type[Parameters], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without most of very many unknown ones: each costs time, few are named."""
    names = _names(model)
    if names.issuperset(parameters):
        return dict(parameters)
    unknown = parameters.keys() - names
    if len(unknown) <= MAX_NAMED:
        return dict(parameters)
    left_out = frozenset([name for name in parameters if name in unknown][MAX_NAMED:])
    return {name: value for name, value in parameters.items() if name not in left_out}


@lru_cache
def _names(model: type[Parameters]) -> frozenset[str]:
    return frozenset(model.model_fields)


def _integral(problems: Sequence[ErrorDetails]) -> dict[str, int]:
    """The integers that were written as floats, by the name of their parameter."""
    return {
        str(problem["loc"][0]): int(problem["input"])
        for problem in problems
        if problem["type"] == "int_type"
        and len(problem["loc"]) == 1
        and isinstance(problem["input"], float)
        and problem["input"].is_integer()
    }


def _as_lofi_error(
    problems: Sequence[ErrorDetails],
    errors: Mapping[str, type[LofiError]],
    missing: Sequence[str],
) -> LofiError:
    unsuitable = [problem for problem in problems if not _is_value_problem(problem)]
    if unsuitable or missing:
        said = [*map(_missing, missing), *map(_describe, unsuitable)]
        return InvalidParams(
            "; ".join(said[:MAX_NAMED]),
            parameters=sorted({*map(_name, unsuitable), *missing})[:MAX_NAMED],
        )
    problem = problems[0]
    error_class = errors.get(str(problem["loc"][0]) if problem["loc"] else "", InvalidParams)
    return error_class(_describe(problem))


def _asked(problem: ErrorDetails) -> str:
    """What is asked for, in few words: a line of an editor is short."""
    word = _LIMITS.get(problem["type"])
    limits = list(problem.get("ctx", {}).values())
    if word is None or len(limits) != 1:
        return problem["msg"]
    limit = limits[0] if isinstance(limits[0], int) else f"{limits[0]:g}"
    return f"must be {word} {limit}"


def _given(problem: ErrorDetails) -> str:
    """What was given in the place of what the message asks for, where that says more."""
    value = problem["input"]
    unsaid = problem["type"] == "blank" or problem["type"].startswith("string_")
    if unsaid or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, int) and value.bit_length() > LONGEST_TOLD_BITS:
        return ", not a number that long"
    return f", not '{shown(value[:64])}'" if isinstance(value, str) else f", not {value}"


def _is_value_problem(problem: ErrorDetails) -> bool:
    if problem["type"] == "literal_error":
        return isinstance(problem["input"], str)
    if problem["type"] == "float_type":  # an integer beyond the range of floats
        return isinstance(problem["input"], int) and not isinstance(problem["input"], bool)
    return problem["type"] in _VALUE_PROBLEMS


def _name(problem: ErrorDetails) -> str:
    if not problem["loc"]:  # of the whole: it says itself which parameter it is about
        return str(problem.get("ctx", {}).get("parameter", ""))
    return ".".join(str(part) for part in problem["loc"])[:64]


def _missing(name: str) -> str:
    return f"parameter '{name}' is missing"


def _describe(problem: ErrorDetails) -> str:
    name = _name(problem)
    if not problem["loc"]:
        return problem["msg"]
    if problem["type"] == "extra_forbidden":
        return f"unknown parameter '{name}'"
    if problem["type"] == "missing":
        return _missing(name)
    message = _asked(problem) + _given(problem)
    return f"{name}: {message[:1].lower()}{message[1:]}"
