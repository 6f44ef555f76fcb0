"""Command-line flags from the fields that declare the parameters."""

from __future__ import annotations

import argparse
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def add_parameter_flags(
    parser: argparse._ArgumentGroup,  # pyright: ignore[reportPrivateUsage] - has no public name
    model: type[BaseModel],
    leave_out: AbstractSet[str] = frozenset(),
) -> None:
    """A flag for each field: its type, its choices and its help.

    Ranges are not checked here but where every parameter is, so a flag that is not given leaves
    None behind.
    """
    for name, field in model.model_fields.items():
        if name not in leave_out:
            _add_flag(parser, name, field)


def given_parameters(options: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """The parameters whose flags were given."""
    values = {name: getattr(options, name, None) for name in model.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def _add_flag(
    parser: argparse._ArgumentGroup,  # pyright: ignore[reportPrivateUsage]
    name: str,
    field: FieldInfo,
) -> None:
    extra = field.json_schema_extra
    flag = extra.get("flag", name) if isinstance(extra, dict) else name
    flag = "--" + str(flag).replace("_", "-")
    help_text = (field.description or "").replace("%", "%%")
    kind = _value_type(field.annotation)
    if kind is bool:
        parser.add_argument(
            flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=help_text
        )
    elif get_origin(kind) is Literal:
        parser.add_argument(flag, dest=name, choices=get_args(kind), help=help_text)
    else:
        metavar = cast("type", kind).__name__.upper()
        parser.add_argument(flag, dest=name, type=kind, metavar=metavar, help=help_text)


def _value_type(annotation: Any) -> Any:
    """What is left of an annotation without its None."""
    alternatives = [part for part in get_args(annotation) if part is not NoneType]
    is_literal = get_origin(annotation) is Literal
    return annotation if is_literal or not alternatives else alternatives[0]
