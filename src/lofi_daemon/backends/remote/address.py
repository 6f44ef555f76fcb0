"""Where the machine that computes is: the command that reaches it, and what it is called."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lofi_daemon.errors import ConfigurationError
from lofi_daemon.text import shown

MAX_NAME = 40

# Options of ssh that are followed by a value.
_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
# Nobody is there to type a password, and a link that died must be noticed.
_SSH_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True)
class Address:
    """`name` for people, `command` as it is run, `written` as the user can try it."""

    name: str
    command: tuple[str, ...]
    written: str


def address_of(command: Sequence[str]) -> Address:
    """The address that LOFI_REMOTE says.

    ssh is told not to ask for passwords and to notice a link that died, where the command says
    nothing of it. Raises ConfigurationError for an ssh command that would end in a shell: what is
    written to the daemon must never be read by one.
    """
    written = shown(shlex.join(command))
    if PurePath(command[0]).name.lower() not in ("ssh", "ssh.exe"):
        name = written if len(written) <= MAX_NAME else f"{written[: MAX_NAME - 1]}…"
        return Address(name, tuple(command), written)
    host, rest = _host_of(command[1:])
    if host is None or not rest:
        raise ConfigurationError(
            f"LOFI_REMOTE={written:.80}: no command for the other machine.",
            hint='Write it after the host: LOFI_REMOTE="ssh gpubox lofi-daemon".',
        )
    said = " ".join(command[1 : len(command) - len(rest)]).lower()
    added = [
        part
        for option in _SSH_OPTIONS
        if option.partition("=")[0].lower() not in said
        for part in ("-o", option)
    ]
    name = shown(host.removeprefix("ssh://").rpartition("@")[2])
    return Address(name[:MAX_NAME], (command[0], "-T", *added, *command[1:]), written)


def _host_of(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The host among ssh's arguments, and the command after it."""
    skip = False
    for index, argument in enumerate(arguments):
        if skip:
            skip = False
        elif argument.startswith("-") and argument != "--":
            skip = argument[-1] in _WITH_VALUE and not any(
                each in _WITH_VALUE for each in argument[1:-1]
            )
        elif argument != "--":
            return argument, arguments[index + 1 :]
    return None, ()
