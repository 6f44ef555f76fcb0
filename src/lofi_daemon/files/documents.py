"""Small JSON files as they come from the disk, where anybody may have written them."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, cast

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
# What a seed may be, and what every JSON reader of the other side can hold.
MIN_INTEGER, MAX_INTEGER = -(1 << 63), (1 << 64) - 1


def read_document(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON value of a regular file of ours, all of whose numbers are finite and bounded.

    Integers fit into 64 bits, nothing is nested deeper than 32 levels, text is valid Unicode.
    Raises OSError where the file cannot be read or is none (a pipe or a device is not even
    opened), ValueError where its content is not such a value or is larger than `max_bytes`.
    """
    content = _content(path, max_bytes)
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_constant=_refused,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value, 0)
    return value


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """A regular file's text. Raises OSError, and ValueError where it is too large or no UTF-8."""
    return _content(path, max_bytes).decode("utf-8")


def _content(path: Path, max_bytes: int) -> bytes:
    _check_regular(path.stat(), path)
    # A pipe that took the file's place since then must not make anybody wait.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        _check_regular(os.fstat(file.fileno()), path)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes} bytes")
    return content


def _check_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is not a finite number")
    return number


def _bounded(text: str) -> int:
    if len(text) > 20 or not MIN_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        raise ValueError(f"{text:.40} is too large a number")
    return number


def _check(value: Any, depth: int) -> None:
    """Raise ValueError for nesting that no file of ours has and for halves of characters."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, member in cast("dict[str, Any]", value).items():
            key.encode()
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in cast("list[Any]", value):
            _check(member, depth + 1)
