"""`lofi-daemon radio` and `lofi-daemon play`: their flags, and the way to the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.parameters import SoundParameters
from lofi_daemon.terminal.flags import add_parameter_flags


def add_radio_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        metavar='PRESET | "prompt"',
        help="a preset's name, or what the music should be like; default: rainy night",
    )
    parser.add_argument("--list", action="store_true", help="list the presets and end")
    parser.add_argument(
        "--library",
        choices=["kept", "all"],
        help="make nothing; play the tracks that you kept, or all that there are",
    )
    parser.add_argument(
        "--order",
        choices=["cycle", "shuffle"],
        default="cycle",
        help="prompts one after the other, or shuffled without repeats",
    )
    parser.add_argument(
        "--ahead",
        type=int,
        choices=range(1, 11),
        default=2,
        metavar="N",
        help="new tracks to keep ready, 1 to 10 (default 2)",
    )
    parser.add_argument(
        "--flow",
        action="store_true",
        help="each track goes on from the one before it, without a cross-over",
    )
    group = parser.add_argument_group("each track")
    add_parameter_flags(group, Registry(Settings()).taking_options(SoundParameters))


def play_radio(settings: Settings, arguments: argparse.Namespace) -> int:
    """Play a radio until the listener quits; the exit status. Raises LofiError."""
    from lofi_daemon.terminal.radio import run

    return run(settings, arguments)


def add_play_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sound files, in order")
    parser.add_argument("--loop", action="store_true", help="begin again after the last one")


def play_files(settings: Settings, arguments: argparse.Namespace) -> int:
    """Play files in order; the exit status. Raises LofiError when none can be played."""
    from lofi_daemon.terminal.files import run

    return run(settings, arguments)
