"""Standard streams as they come: closed, of any encoding, on a terminal of any skill."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

# How the signs that this program prints are written where the encoding does not have them.
_PLAIN = {
    "…": "...", "·": "-", "–": "-", "—": "-", "−": "-", "×": "x", "“": '"', "”": '"', "„": '"',
    "‘": "'", "’": "'", "→": "->", "≥": ">=", "≤": "<=",
}  # fmt: skip
_DUMB = ("dumb", "unknown")


def open_streams() -> None:
    """Give every standard stream a descriptor that works and text that always can be written.

    One that is closed is nobody's: reading finds the end, writing goes nowhere. Must run before
    anything else is opened, which would get the closed one's number.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    codecs.register_error("lofi.plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lofi.plain")


def close_output() -> None:
    """What is still to be written goes nowhere: its reader has left, and all was told."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def can_draw(stream: TextIO) -> bool:
    """Whether bars and screens can be drawn there, and not only lines be written."""
    return stream.isatty() and os.environ.get("TERM", "") not in _DUMB and has_blocks(stream)


def has_blocks(stream: TextIO) -> bool:
    """Whether its encoding has the block characters that pictures are made of."""
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in missing), error.end
