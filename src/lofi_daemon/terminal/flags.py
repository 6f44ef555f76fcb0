"""Command-line flags from the fields that declare the parameters."""

from __future__ import annotations

import argparse
import re
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from lofi_daemon.backends.options import DeclaredOption, declared
from lofi_daemon.parameters import TaskName
from lofi_daemon.tracks.identity import is_track_id

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


TASK_FLAGS = ("task", "source", "span", "strength")


def add_task_flags(
    group: argparse._ArgumentGroup,  # pyright: ignore[reportPrivateUsage]
) -> None:
    """What a track is made from that begins with other music."""
    group.add_argument(
        "--task",
        choices=get_args(TaskName),
        help="Another one near it, more of it, a part of it anew, or new music from a sound.",
    )
    group.add_argument(
        "--source",
        type=_source,
        metavar="TRACK",
        help="What it begins with: a track's id, or a sound file.",
    )
    group.add_argument(
        "--span",
        type=_span,
        metavar="FROM-TO",
        help="Where there is new music, in the source's time: 0:40-1:10, or 0:30-1:30 for a minute "
        "more of half a minute. Music before the source: --span=-0:10-0:00.",
    )
    group.add_argument(
        "--strength", type=float, metavar="FLOAT", help="How far to go from it, 0.0 to 1.0."
    )


def _source(text: str) -> str:
    """A track's id, or the absolute path: in a shell a file is named from where one is."""
    return text if is_track_id(text) else str(Path(text).expanduser().absolute())


def _span(text: str) -> list[float]:
    """Seconds of "0:40-1:10", "40-70" or "-10-0". Raises ArgumentTypeError."""
    match = re.fullmatch(r"(-?[0-9:.]+)-(-?[0-9:.]+)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span; 0:40-1:10 is one")
    return [_seconds(each) for each in match.groups()]


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(-?)(?:(\d+):)?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 1:10 is one")
    sign, minutes, seconds = match.groups()
    return (-1.0 if sign else 1.0) * (60.0 * int(minutes or 0) + float(seconds))


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
