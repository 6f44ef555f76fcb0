"""Every backend's options beside the parameters that all of them share, as one flat model.

That is what the wire, the command line and the plugin show. A value is checked twice: here against
the widest range that any backend takes, and, once it is known which backend makes the track,
against that backend's own declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from lofi_daemon.backends.protocol import BackendInfo
from lofi_daemon.errors import LofiError
from lofi_daemon.parameters import SoundParameters

OptionType = Literal["integer", "number", "boolean", "string"]
SoundT = TypeVar("SoundT", bound=SoundParameters)


def with_backends(model: type[SoundT], backends: Sequence[BackendInfo]) -> type[SoundT]:
    """`model` with the options of these backends, each with the names of those that take it.

    Raises TypeError where two backends declare one name with different types.
    """
    fields = {
        "duration_sec": (float, _duration(model, backends)),
        "backend": (str | None, _backend(backends)),
        **_options(backends),
    }
    errors: dict[str, type[LofiError]] = {}
    for each in (*(info.options for info in backends), model):
        errors.update(each.errors)
    # The stubs of create_model know fields by keyword only.
    made = cast("Any", create_model)(
        model.__name__, __base__=model, __module__=__name__, __doc__=model.__doc__, **fields
    )
    made.errors = errors
    return made


def given_options(parameters: SoundParameters) -> dict[str, Any]:
    """The backends' options that are set in a flat model, by name."""
    names = option_names(type(parameters))
    if names.isdisjoint(parameters.model_fields_set):  # as for most songs of a library
        return {}
    return {
        name: value
        for name, value in parameters.model_dump(exclude_none=True).items()
        if name in names
    }


@lru_cache
def option_names(model: type[SoundParameters]) -> frozenset[str]:
    """The names of the backends' options in a flat model."""
    return frozenset(model.model_fields.keys() - _unflattened(model).model_fields.keys())


@dataclass(frozen=True)
class DeclaredOption:
    """One option as a client needs it to ask for a value; flag and key are its short names.

    choices, minimum and maximum are None where
    nothing is declared.
    """

    name: str
    flag: str
    key: str
    type: OptionType
    choices: tuple[str, ...] | None
    minimum: float | None
    maximum: float | None
    help: str


_TYPE_NAMES: Mapping[Any, OptionType] = {bool: "boolean", int: "integer", float: "number"}


def declared(model: type[BaseModel]) -> list[DeclaredOption]:
    """The fields of an Options class, or of parameters, in their order."""
    return [_declared(name, field) for name, field in model.model_fields.items()]


def _declared(name: str, field: FieldInfo) -> DeclaredOption:
    extra = _extra([field])
    flag = str(extra.get("flag", name))
    lowest, highest = limits(field)
    return DeclaredOption(
        name=name,
        flag=flag.replace("_", "-"),
        key=str(extra.get("key", flag)),
        type=_TYPE_NAMES.get(value_type(field.annotation), "string"),
        choices=choices(field.annotation) or None,
        minimum=extra.get("minimum", lowest),
        maximum=extra.get("maximum", highest),
        help=field.description or "",
    )


def value_type(annotation: Any) -> Any:
    """What is left of a field's annotation without its None: int, a Literal, …"""
    if get_origin(annotation) is Literal:
        return annotation
    return next((part for part in get_args(annotation) if part is not NoneType), annotation)


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values that a Literal names; none for another type."""
    kind = value_type(annotation)
    return get_args(kind) if get_origin(kind) is Literal else ()


def limits(field: FieldInfo) -> tuple[Any, Any]:
    """The smallest and the largest value that a field takes; None where nothing is declared."""
    lowest = next((each.ge for each in field.metadata if hasattr(each, "ge")), None)
    highest = next((each.le for each in field.metadata if hasattr(each, "le")), None)
    return lowest, highest


def _unflattened(model: type[SoundParameters]) -> type[SoundParameters]:
    """The class that was written, of one that `with_backends` made."""
    return next(each for each in model.__mro__ if each.__module__ != __name__)


def _duration(model: type[SoundParameters], backends: Sequence[BackendInfo]) -> FieldInfo:
    declared = model.model_fields["duration_sec"]
    shortest = min(info.min_duration_sec for info in backends)
    longest = max(info.max_duration_sec for info in backends)
    others = [
        f"{info.type}: {info.min_duration_sec:g} to {info.max_duration_sec:g}"
        for info in backends
        if (info.min_duration_sec, info.max_duration_sec) != (shortest, longest)
    ]
    text = f"Length of the track in seconds: {shortest:g} to {longest:g}"
    return Field(
        default=declared.default,
        description=f"{text} ({'; '.join(others)})." if others else f"{text}.",
        json_schema_extra={**_extra([declared]), "minimum": shortest, "maximum": longest},
    )


def _backend(backends: Sequence[BackendInfo]) -> FieldInfo:
    names = [info.type for info in backends]
    field: Any = Field(
        default=None,
        description=f"Which model makes the track: {_listed(names, 'or')}. Default: the configured "
        "one, else the best one installed.",
        json_schema_extra={"known": cast("Any", names)},
    )
    return field


def _options(backends: Iterable[BackendInfo]) -> dict[str, tuple[Any, FieldInfo]]:
    declared: dict[str, dict[str, FieldInfo]] = {}
    for info in backends:
        for name, field in info.options.model_fields.items():
            declared.setdefault(name, {})[info.type] = field
    return {name: _widest(name, fields) for name, fields in declared.items()}


def _widest(name: str, fields: Mapping[str, FieldInfo]) -> tuple[Any, FieldInfo]:
    """Annotation and field that take what any of these takes. fields: by the backend's name."""
    first = next(iter(fields.values()))
    kinds = [value_type(field.annotation) for field in fields.values()]
    if len({get_origin(kind) or kind for kind in kinds}) > 1:
        raise TypeError(f"The option {name} has different types in {', '.join(fields)}.")
    kind = kinds[0]
    if get_origin(kind) is Literal:
        kind = Literal[tuple(dict.fromkeys(value for each in kinds for value in get_args(each)))]
    rules = [each for each in first.metadata if not hasattr(each, "ge") and not hasattr(each, "le")]
    if rules:
        kind = Annotated[(kind, *rules)]
    lows, highs = zip(*map(limits, fields.values()), strict=True)
    field: Any = Field(
        default=None,
        ge=None if None in lows else min(lows),
        le=None if None in highs else max(highs),
        description=f"{first.description} {_listed(list(fields), 'and')} only.",
        json_schema_extra=_extra(fields.values()),
    )
    return Union[kind, None], field  # noqa: UP007 - a type that is made while running


def _extra(fields: Iterable[FieldInfo]) -> dict[str, Any]:
    """What the fields say of their names on the command line and in the editor."""
    said: dict[str, Any] = {}
    for field in fields:
        if isinstance(field.json_schema_extra, dict):
            said = {**field.json_schema_extra, **said}
    return said


def _listed(names: Sequence[str], word: str) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
