"""The track id: everything that changes the sound, and nothing else."""

from __future__ import annotations

import dataclasses
import re

import pytest

from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.tracks import track_id

REQUEST = GenerationRequest("rain", 30.0, 7, 60, "euler", 15.0, "apg", True)


def test_sixteen_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", track_id("demo", "1", REQUEST))


def test_the_same_in_every_version() -> None:
    """Pinned: a change would lose every user's cache."""
    assert track_id("demo", "1", REQUEST) == "2b775b95eaab3704"


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Rain"},
        {"duration_sec": 30.5},
        {"seed": 8},
        {"inference_steps": 59},
        {"scheduler": "heun"},
        {"guidance_scale": 15.5},
        {"cfg_type": "cfg"},
        {"erg": False},
    ],
)
def test_every_input_counts(change: dict[str, object]) -> None:
    changed = dataclasses.replace(REQUEST, **change)
    assert track_id("demo", "1", changed) != track_id("demo", "1", REQUEST)


def test_backend_and_version_count() -> None:
    ids = {track_id("demo", "1", REQUEST), track_id("ace_step", "1", REQUEST)}
    ids.add(track_id("demo", "2", REQUEST))
    ids.add(track_id("demo", None, REQUEST))
    assert len(ids) == 4


def test_an_integer_is_the_same_number() -> None:
    whole = dataclasses.replace(REQUEST, duration_sec=30, guidance_scale=15)
    assert track_id("demo", "1", whole) == track_id("demo", "1", REQUEST)
