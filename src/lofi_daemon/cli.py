"""The command line: serve (the default), one track at once, and what else there is a line for."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from lofi_daemon import __version__
from lofi_daemon.config import Settings, load_settings
from lofi_daemon.errors import ConfigurationError, LofiError
from lofi_daemon.terminal.streams import close_output, open_streams
from lofi_daemon.text import say, show_log, shown


@dataclass(frozen=True)
class Command:
    """A subcommand: its help, its own flags, and what it does (returning the exit status)."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Settings, argparse.Namespace], int]


def _serve(settings: Settings, arguments: argparse.Namespace | None = None) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # until the server listens itself
    from lofi_daemon.rpc.server import serve

    serve(settings)


def _leave(*_: object) -> None:
    os._exit(0)


def _backends(settings: Settings, arguments: argparse.Namespace) -> int:
    from lofi_daemon.commands.backends import list_backends

    return list_backends(settings)


def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from lofi_daemon.commands.doctor import doctor

    return doctor(settings, as_json=arguments.json)


def _doctor_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _radio(settings: Settings, arguments: argparse.Namespace) -> int:
    from lofi_daemon.commands.listen import play_radio

    return play_radio(settings, arguments)


def _radio_flags(parser: argparse.ArgumentParser) -> None:
    from lofi_daemon.commands.listen import add_radio_flags

    add_radio_flags(parser)


def _play(settings: Settings, arguments: argparse.Namespace) -> int:
    from lofi_daemon.commands.listen import play_files

    return play_files(settings, arguments)


def _play_flags(parser: argparse.ArgumentParser) -> None:
    from lofi_daemon.commands.listen import add_play_flags

    add_play_flags(parser)


def _batch(settings: Settings, arguments: argparse.Namespace) -> int:
    from lofi_daemon.commands.batch import make_batch

    return make_batch(settings, arguments)


def _batch_flags(parser: argparse.ArgumentParser) -> None:
    from lofi_daemon.commands.batch import add_batch_flags

    add_batch_flags(parser)


def _models(name: str, help_text: str) -> Command:
    """A command of commands/models.py, which is imported when the command is used."""

    def add_flags(parser: argparse.ArgumentParser) -> None:
        from lofi_daemon.commands import models

        models.FLAGS[name](parser)

    def run_command(settings: Settings, arguments: argparse.Namespace) -> int:
        from lofi_daemon.commands import models

        return models.ACTIONS[name](settings, arguments)

    return Command(help_text, add_flags, run_command)


def _no_flags(parser: argparse.ArgumentParser) -> None:
    pass


# What editors start the daemon with; no time is spent on reading flags.
SERVING: list[list[str]] = [[], ["serve"], ["--daemon"]]

COMMANDS: dict[str, Command] = {
    "serve": Command("serve JSON-RPC on standard input and output", _no_flags, _serve),
    "radio": Command("make and play music without end", _radio_flags, _radio),
    "play": Command("play sound files", _play_flags, _play),
    "batch": Command("make every song of a file, into a folder", _batch_flags, _batch),
    "download": _models("download", "download a model; what is whole already is kept"),
    "import": _models("import", "take a model's files from a folder"),
    "verify": _models("verify", "read a model's files and check that they are whole"),
    "quantize": _models("quantize", "make smaller, faster files of an installed model"),
    "backends": Command("list the backends and where their files are", _no_flags, _backends),
    "doctor": Command("look at everything lofi needs to work", _doctor_flags, _doctor),
}


def run(arguments: list[str]) -> int:
    """Carry out a command line; the exit status.

    0: done. 1: it failed, one line on standard error says why and what to do. 2: a bad flag or
    environment variable. 130: interrupted. 141: whoever read the output has left.
    """
    open_streams()
    show_log()
    status = 0
    try:
        try:
            status = _carried_out(arguments)
        finally:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        close_output()
        return 141
    except OSError as error:  # of the flush; every command says itself what it cannot write
        if error.filename is not None:
            raise
        close_output()
        if status:  # it was told already
            return status
        say(f"lofi-daemon: The standard output cannot be written: {error}", file=sys.stderr)
        return 1


def _carried_out(arguments: list[str]) -> int:
    try:
        if arguments in SERVING:
            return _serve(load_settings(os.environ))
        parser = _parser()
        options = parser.parse_args(arguments)
        settings = load_settings(os.environ)
        if options.command is not None:
            return COMMANDS[options.command].run(settings, options)
        if options.prompt is not None or options.task is not None:
            from lofi_daemon.commands.generate import generate

            return generate(settings, options)
        parser.error("a track needs a --prompt")
    except LofiError as error:
        message = error.message if error.message.endswith(".") else f"{error.message}."
        say(f"lofi-daemon: {message} {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """Quotes what was typed, which may be a stranger's file name, as it can be shown."""

    def error(self, message: str) -> NoReturn:
        super().error(shown(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lofi-daemon",
        description="Makes lofi music. Without a command and a prompt it serves an editor over "
        "standard input and output.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lofi-daemon {__version__}")
    parser.add_argument("--daemon", action="store_true", help="serve, as without any argument")
    _add_generation_flags(parser)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, command in COMMANDS.items():
        command.add_flags(commands.add_parser(name, help=command.help, allow_abbrev=False))
    return parser


def _add_generation_flags(parser: argparse.ArgumentParser) -> None:
    from lofi_daemon.backends.registry import Registry
    from lofi_daemon.parameters import GenerationParameters
    from lofi_daemon.terminal.flags import TASK_FLAGS, add_parameter_flags, add_task_flags

    group = parser.add_argument_group("one track")
    model = Registry(Settings()).taking_options(GenerationParameters)
    add_parameter_flags(group, model, leave_out={"priority", "play", "format", *TASK_FLAGS})
    group.add_argument(
        "--play",
        action="store_const",
        const="early",
        help="Play it, as soon as the rest can be made while it sounds.",
    )
    group.add_argument(
        "--output", metavar="FILE", help="Where to put a copy of the track: a .wav or .flac file."
    )
    group.add_argument(
        "--picture", metavar="FILE", help="Draw waveform and spectrogram there (.png) and here."
    )
    add_task_flags(parser.add_argument_group("one track from another"))
