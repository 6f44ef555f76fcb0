"""Command-line flags from the fields that declare the parameters."""

from __future__ import annotations

import argparse
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel

from lofi_daemon.backends.options import DeclaredOption, declared

_TYPES = {"integer": int, "number": float, "string": str}


def add_parameter_flags(
    parser: argparse._ArgumentGroup,  # pyright: ignore[reportPrivateUsage] - has no public name
    model: type[BaseModel],
    leave_out: AbstractSet[str] = frozenset(),
) -> None:
    """A flag for each field: its type, its choices and its help.

    Ranges are not checked here but where every parameter is, so a flag that is not given leaves
    None behind.
    """
    for option in declared(model):
        if option.name not in leave_out:
            _add_flag(parser, option)


def given_parameters(options: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """The parameters whose flags were given."""
    values = {name: getattr(options, name, None) for name in model.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def _add_flag(
    parser: argparse._ArgumentGroup,  # pyright: ignore[reportPrivateUsage]
    option: DeclaredOption,
) -> None:
    flag, name, help_text = f"--{option.flag}", option.name, option.help.replace("%", "%%")
    if option.type == "boolean":
        parser.add_argument(
            flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=help_text
        )
    elif option.choices is not None:
        parser.add_argument(flag, dest=name, choices=option.choices, help=help_text)
    else:
        kind = _TYPES[option.type]
        parser.add_argument(
            flag, dest=name, type=kind, metavar=kind.__name__.upper(), help=help_text
        )
