"""Text for people to read, wherever it comes from.

Names of files, presets, repositories and servers' answers are strangers' text. Written to a
terminal as it is, it could rename the window, fill the clipboard or show one thing and be another.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO

from lofi_daemon.errors import OutputFailed

# What a track's name may take; a prompt this short is its own name.
NAME_WIDTH = 40
# What nearly every prompt has, so that it tells nothing of this one.
_COMMON = re.compile(r"\d+ bpm|instrumental|chillhop|lo-?fi( hip hop| beats?)?")

# C0, DEL and C1 (escape sequences begin with them), line and paragraph separators, what turns the
# direction of writing, and halves of characters (bytes of a name that is not UTF-8).
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_HIDDEN_BUT_NEWLINES = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def shown(text: str, *, lines: bool = False) -> str:
    """The text with everything that a terminal obeys spelt out: ESC becomes \\x1b.

    A byte that was no UTF-8 is spelt as that byte. lines: line feeds stay.
    """
    return (_HIDDEN_BUT_NEWLINES if lines else _HIDDEN).sub(_spelt, text)


def short_name(prompt: str, preset: str | None = None) -> str:
    """What a track is called: a short prompt as it is, a long one by as many of its words as fit.

    preset: the name of the preset that the prompt is from; it comes before the words then.
    """
    head = f"{preset} · " if preset else ""
    room = max(8, NAME_WIDTH - len(head))
    prompt = " ".join(prompt.split())
    if not preset and len(prompt) <= room:
        return prompt
    name = ""
    for part in (part.strip() for part in prompt.split(",")):
        if not part or _COMMON.fullmatch(part):
            continue
        longer = f"{name}, {part}" if name else part
        if name and len(longer) > room:
            break
        name = longer
    name = name or prompt
    return head + (name if len(name) <= room else f"{name[: room - 1]}…")


def say(text: str, *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a line of text, as it can be shown. Everything plain that people read goes here.

    file: standard output, unless said. Raises BrokenPipeError when its reader has left, and
    OutputFailed when it cannot be written. What nobody reads of standard error is no loss.
    """
    try:
        print(shown(text), end=end, file=file or sys.stdout, flush=True)
    except OSError as error:
        if file is sys.stderr:
            return
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputFailed(
            f"The standard output cannot be written: {error.strerror or error}."
        ) from error


class ShownFormatter(logging.Formatter):
    """Lines of the log as they can be shown."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return shown(super().formatException(ei), lines=True)


def show_log(level: int = logging.WARNING) -> None:
    """Where nothing else is configured, the log goes to standard error as it can be shown."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(ShownFormatter())
        logging.lastResort.setLevel(level)
    logging.getLogger("lofi_daemon").setLevel(level)


def _spelt(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:  # how Python carries a byte that is no UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
