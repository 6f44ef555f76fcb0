"""Small JSON files from the disk: what is read, and what is refused at the door."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lofi_daemon.files.documents import read_document


def test_a_value_comes_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, -3, None, True, "ü☃"], "seed": 2**64 - 1, "deep": [[[[[]]]]]}
    file = tmp_path / "x.json"
    file.write_text(json.dumps(value))
    assert read_document(file) == value


@pytest.mark.parametrize(
    "content",
    [
        b"NaN",
        b"[Infinity]",
        b'{"x": -Infinity}',
        b"1e999",
        b"-1e999",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1" * 5000,
        b"[" * 40 + b"]" * 40,
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"\xff",
        b"",
        b"{",
        b" " * (1 << 20) + b"1",
    ],
)
def test_what_is_no_bounded_value_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_document(file)


def test_a_pipe_a_device_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/tty"), tmp_path):
        with pytest.raises(OSError, match=r"."):
            read_document(path)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        read_document(tmp_path / "link")


def test_what_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "x.json")
