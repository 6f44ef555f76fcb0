"""A registry of backends that play a note, and a file of songs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from tests.tone_backend import ToneBackend

WriteSongs = Callable[..., Path]


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
