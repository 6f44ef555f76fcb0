"""The wire as lines of JSON, for whoever is at either end of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from lofi_daemon.errors import ParseError

MAX_LINE_BYTES = 1 << 20

# What stands for a line that was too long to keep.
Line = bytes | None


def split_lines(read: Callable[[], bytes]) -> Iterator[Line]:
    """Lines without their ends, until `read` gives no bytes.

    A line beyond 1 MiB is not kept: None stands for it, when it ends.
    """
    pieces: list[bytes] = []
    length = 0
    while chunk := read():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            length += len(end)
            yield b"".join((*pieces, end)) if length <= MAX_LINE_BYTES else None
            pieces, length = [], 0
        length += len(rest)
        if length <= MAX_LINE_BYTES:
            pieces.append(rest)
        else:
            pieces = []
    if length:
        yield b"".join(pieces) if length <= MAX_LINE_BYTES else None


def parse_line(line: Line) -> object:
    """The JSON value of a line.

    Raises ParseError for a line that was too long, for what is not UTF-8 or not JSON, NaN and
    Infinity included, and for nesting that no request needs.
    """
    if line is None:
        raise ParseError(f"The line is longer than {MAX_LINE_BYTES} bytes.")
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ParseError(f"The line is not UTF-8 from byte {error.start} on.") from None
    except RecursionError:
        raise ParseError("The line is nested too deeply.") from None
    except ValueError as error:
        raise ParseError(f"The line is not JSON: {error!s:.200}.") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")
