"""The file that a batch is made from: a line a song, each checked for itself.

A line is what `generate` takes, and beside it `id` (the caller's own name for the song) and `count`
(how many tracks of it, each with a seed of its own). Nothing here is drawn by chance: a seed that a
line leaves out follows from the line, so that the same file asks for the same tracks every time.
"""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import Field
from pydantic_core import from_json

from lofi_daemon.errors import ConfigurationError, InvalidParams, LofiError
from lofi_daemon.parameters import MAX_SEED, TrackParameters, parse

MAX_LINE_BYTES = 1 << 20
MAX_COUNT = 10_000
MAX_ID_LENGTH = 200
PARQUET_SUFFIXES = (".parquet", ".pq")
_CONTENT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


class SongParameters(TrackParameters):
    """What a line may say."""

    id: str | int | None = Field(
        default=None,
        description="Your own name for the song, once in the file; it stands in the results.",
    )
    count: int = Field(
        default=1,
        ge=1,
        le=MAX_COUNT,
        description="How many tracks of this song: the first has the seed, the next the one after.",
    )


@dataclass(frozen=True)
class Song:
    """One track that is asked for. `number` counts from 1 inside the line.

    parameters: what the line says. seed: this track's, which goes before that of the line. text:
    the line as it stands in the file.
    """

    line: int
    id: str | None
    number: int
    parameters: TrackParameters
    seed: int
    text: bytes


@dataclass(frozen=True)
class Refused:
    """A line that cannot be carried out as it stands."""

    line: int
    id: str | None
    error: LofiError
    text: bytes


@dataclass(frozen=True)
class Line:
    """A line of the file: what it says, or what is wrong with it. `text`: as it stands there."""

    number: int
    values: Mapping[str, Any] | LofiError
    text: bytes


def read_songs(file: Path, model: type[SongParameters]) -> Iterator[Song | Refused]:
    """Every song of a JSONL or Parquet file in its order, and every line that is none.

    model: SongParameters with the options of the backends. Raises ConfigurationError where the file
    as a whole cannot be read.
    """
    lines = _parquet(file) if file.suffix.lower() in PARQUET_SUFFIXES else _json_lines(file)
    return check(lines, model)


def check(lines: Iterable[Line], model: type[SongParameters]) -> Iterator[Song | Refused]:
    """The songs of these lines. Nothing of a line's own is raised: it becomes a Refused."""
    first_with: dict[int, int] = {}
    for line in lines:
        values = line.values
        if isinstance(values, LofiError):
            yield Refused(line.number, None, values, line.text)
            continue
        try:
            parameters = parse(model, values)
            name = _name(parameters)
            if name is not None:
                first = first_with.setdefault(_short_hash(name), line.number)
                if first != line.number:
                    raise InvalidParams(
                        f"id: '{name}' is the id of line {first} too.",
                        hint="Give every line an id of its own, or none.",
                    )
            yield from _tracks(line, name, parameters, values)
        except LofiError as error:
            yield Refused(line.number, _said_id(values), error, line.text)


def derived_seed(key: str, number: int) -> int:
    """The seed (32 bits) of a song that names none: SHA-256 over what it is known by."""
    digest = hashlib.sha256(f"{key}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _tracks(
    line: Line, name: str | None, parameters: SongParameters, values: Mapping[str, Any]
) -> Iterator[Song]:
    if parameters.seed is not None and parameters.seed + parameters.count - 1 > MAX_SEED:
        raise InvalidParams(f"seed: {parameters.count} seeds from {parameters.seed} on are no u64.")
    key = ""
    if parameters.seed is None:
        key = _content(values) if name is None else f"id:{name}"
    for number in range(1, parameters.count + 1):
        if parameters.seed is None:
            seed = derived_seed(key, number)
        else:
            seed = parameters.seed + number - 1
        yield Song(line.number, name, number, parameters, seed, line.text)


def _name(parameters: SongParameters) -> str | None:
    if parameters.id is None:
        return None
    name = str(parameters.id)
    if not 0 < len(name) <= MAX_ID_LENGTH:
        raise InvalidParams(f"id: it must have 1 to {MAX_ID_LENGTH} characters.")
    return name


def _said_id(values: Mapping[str, Any]) -> str | None:
    """The id as the results show it, where a line is refused for whatever reason."""
    said = values.get("id")
    return str(said)[:MAX_ID_LENGTH] if isinstance(said, str | int) else None


def _content(values: Mapping[str, Any]) -> str:
    """What a line without an id is known by: all that it says of the music."""
    music = {name: value for name, value in values.items() if name not in ("id", "count")}
    return _CONTENT.encode(music)


def _short_hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _json_lines(file: Path) -> Iterator[Line]:
    try:
        with file.open("rb") as lines:
            if lines.read(len(BOM_UTF8)) != BOM_UTF8:
                lines.seek(0)
            number = 0
            while text := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(text) > MAX_LINE_BYTES:
                    rest = text
                    while rest and not rest.endswith(b"\n"):
                        rest = lines.readline(MAX_LINE_BYTES)
                    yield Line(number, InvalidParams("The line is longer than 1 MiB."), b"")
                elif text.strip():
                    yield Line(number, _object(text), text)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def _object(line: bytes) -> Mapping[str, Any] | LofiError:
    try:
        values: Any = from_json(line)
    except ValueError as error:
        return InvalidParams(f"The line is not JSON: {error}")
    if not isinstance(values, dict):
        return InvalidParams('The line is not a JSON object such as {"prompt": "rainy night"}.')
    return cast("dict[str, Any]", values)


def _parquet(file: Path) -> Iterator[Line]:
    """Rows as lines; a column that is null in a row is not said there."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigurationError(
            f"{file} is a Parquet file, and pyarrow, which reads them, is not installed.",
            hint="`pip install 'lofi-daemon[cluster]'` brings it, or give a file of JSON lines.",
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=4096):
                for row in _rows(batch):
                    number += 1
                    if isinstance(row, LofiError):
                        yield Line(number, row, b"")
                        continue
                    said = {name: value for name, value in row.items() if value is not None}
                    yield Line(number, said, json.dumps(said, default=str).encode())
    except (OSError, ArrowException) as error:
        raise _unreadable(file, str(error).splitlines()[0]) from error


def _rows(batch: Any) -> Iterator[dict[str, Any] | LofiError]:
    """The rows of a pyarrow.RecordBatch; text that is no UTF-8, or a time that no calendar has,
    concerns its row only.
    """
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError):
        pass
    for index in range(batch.num_rows):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except (ValueError, OverflowError) as error:
            yield InvalidParams(f"The row cannot be read: {error}")


def _unreadable(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{file} cannot be read: {why}", hint="Name a file of JSON lines (or Parquet)."
    )
