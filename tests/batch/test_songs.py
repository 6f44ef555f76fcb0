"""What a file of songs asks for: checked line by line, and nothing of it by chance."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lofi_daemon.backends.registry import Registry
from lofi_daemon.batch.songs import Refused, Song, SongParameters, read_songs
from lofi_daemon.errors import ConfigurationError
from tests.batch.conftest import WriteSongs


def songs_of(file: Path, registry: Registry) -> list[Song | Refused]:
    return list(read_songs(file, registry.taking_options(SongParameters)))


def made_of(file: Path, registry: Registry) -> list[Song]:
    return [each for each in songs_of(file, registry) if isinstance(each, Song)]


def test_a_line_is_what_generate_takes(registry: Registry, write_songs: WriteSongs) -> None:
    file = write_songs(
        {"prompt": "rain", "duration_sec": 9.0, "seed": 7, "inference_steps": 3, "id": "mine"}
    )
    (song,) = made_of(file, registry)
    assert (song.line, song.id, song.number) == (1, "mine", 1)
    given = song.parameters.model_dump()
    assert (given["prompt"], given["duration_sec"], song.seed) == ("rain", 9.0, 7)
    assert given["inference_steps"] == 3


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[1]",
        "{}",
        '{"prompt": ""}',
        '{"prompt": "x", "priority": "high"}',
        '{"prompt": "x", "count": 0}',
        '{"prompt": "x", "seed": 18446744073709551615, "count": 2}',
        '{"prompt": "x", "id": ""}',
        "[" * 100_000,
        '{"prompt": "' + "x" * (1 << 20) + '"}',
    ],
)
def test_a_bad_line_concerns_that_line_only(
    registry: Registry, write_songs: WriteSongs, line: str
) -> None:
    file = write_songs({"prompt": "before"}, line, {"prompt": "after"})
    first, bad, last = songs_of(file, registry)
    assert isinstance(first, Song)
    assert isinstance(bad, Refused)
    assert bad.line == 2
    assert isinstance(last, Song)
    assert last.parameters.prompt == "after"


def test_a_file_of_windows_begins_with_a_mark(registry: Registry, write_songs: WriteSongs) -> None:
    file = write_songs({"prompt": "first"}, {"prompt": "second"})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [song.parameters.prompt for song in made_of(file, registry)] == ["first", "second"]


def test_an_id_stands_once_in_a_file(registry: Registry, write_songs: WriteSongs) -> None:
    file = write_songs({"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}, {"prompt": "c"})
    first, second, third = songs_of(file, registry)
    assert isinstance(first, Song)
    assert isinstance(second, Refused)
    assert "line 1" in second.error.message
    assert isinstance(third, Song)


def test_seeds_follow_from_the_line(registry: Registry, write_songs: WriteSongs) -> None:
    line = {"prompt": "a", "count": 3}
    seeds = [song.seed for song in made_of(write_songs(line), registry)]
    assert len(set(seeds)) == 3
    again = made_of(write_songs({"prompt": "first"}, line), registry)[1:]
    assert [song.seed for song in again] == seeds, "wherever the line stands"
    named = [{**line, "id": "x"}, {**line, "id": "y"}]
    seeds = [song.seed for song in made_of(write_songs(*named), registry)]
    assert len(set(seeds)) == 6, "two songs of the same words are two songs"


def test_a_family_has_seeds_in_a_row(registry: Registry, write_songs: WriteSongs) -> None:
    file = write_songs({"prompt": "a", "seed": 40, "count": 3})
    assert [song.seed for song in made_of(file, registry)] == [40, 41, 42]


def test_a_file_that_cannot_be_read(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        songs_of(tmp_path / "nowhere.jsonl", registry)


def test_parquet_says_the_same(registry: Registry, write_songs: WriteSongs, tmp_path: Path) -> None:
    rows = [{"prompt": "a", "seed": None, "id": "x"}, {"prompt": "b", "seed": 9, "id": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "songs.parquet")
    lines = [{name: value for name, value in row.items() if value is not None} for row in rows]
    same = made_of(write_songs(*lines), registry)
    found = made_of(tmp_path / "songs.parquet", registry)
    assert [song.parameters for song in found] == [song.parameters for song in same]
    (tmp_path / "songs.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        songs_of(tmp_path / "songs.parquet", registry)


def test_a_row_that_cannot_be_read_concerns_that_row_only(
    registry: Registry, tmp_path: Path
) -> None:
    prompts = pyarrow.array([b"before", b"\xff", b"after"]).view(pyarrow.string())
    times = pyarrow.array([None, None, 1 << 62], pyarrow.timestamp("us"))
    table = pyarrow.table({"prompt": prompts, "id": ["a", "b", "c"], "when": times})
    parquet.write_table(table, tmp_path / "songs.parquet")
    first, bad, last = songs_of(tmp_path / "songs.parquet", registry)
    assert isinstance(first, Song)
    assert isinstance(bad, Refused)
    assert isinstance(last, Refused)
    assert (bad.line, last.line) == (2, 3)
    assert "cannot be read" in bad.error.message


def test_values_of_odd_types_concern_their_row_only(registry: Registry, tmp_path: Path) -> None:
    odd = [
        {"prompt": "nested", "seed": {"a": [1]}},
        {"prompt": "more nested", "seed": {"a": []}},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(odd), tmp_path / "odd.parquet")
    assert [type(each) for each in songs_of(tmp_path / "odd.parquet", registry)] == [Refused] * 2
    floats = pyarrow.table({"prompt": ["a", "b"], "duration_sec": [float("nan"), 5.0]})
    parquet.write_table(floats, tmp_path / "odd.parquet")
    assert len(songs_of(tmp_path / "odd.parquet", registry)) == 2
