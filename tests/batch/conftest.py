"""A registry of backends that play a note, a file of songs, and a store that is no stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from tests.tone_backend import ToneBackend

WriteSongs = Callable[..., Path]

# What moto's S3 takes for credentials.
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def registry() -> Registry:
    other = ToneBackend(type="other")
    return Registry(Settings(), {"demo": lambda _: ToneBackend(), "other": lambda _: other})


@pytest.fixture
def write_songs(tmp_path: Path) -> WriteSongs:
    """write_songs({...}, "not json", …) gives the file."""

    def write(*lines: dict[str, Any] | str) -> Path:
        file = tmp_path / "songs.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("".join(f"{text}\n" for text in texts))
        return file

    return write


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on the loopback interface, as it stands in a URI."""
    from moto.server import ThreadedMotoServer

    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    server.stop()
