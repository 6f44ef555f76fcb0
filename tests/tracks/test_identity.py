"""The track id: everything that changes the sound, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.parameters import Options
from lofi_daemon.tracks import track_id

SET = {
    "inference_steps": 60,
    "scheduler": "euler",
    "guidance_scale": 15.0,
    "cfg_type": "apg",
    "erg": True,
}
REQUEST = GenerationRequest("rain", 30.0, 7, DiffusionOptions(**SET))


@settings(deadline=None)
@given(st.text(), st.floats(1.0, 600.0), st.integers(0, 2**64 - 1), st.text())
def test_it_is_a_hash_of_sorted_json(prompt: str, seconds: float, seed: int, version: str) -> None:
    request = GenerationRequest(prompt, seconds, seed, DiffusionOptions(**SET, loop=True))
    asked = {"prompt": prompt, "duration_sec": seconds, "seed": seed, **SET, "loop": True}
    told = {"backend": "demo", "model_version": version, **asked}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    assert track_id("demo", version, request) == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_sixteen_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", track_id("demo", "1", REQUEST))


@pytest.mark.parametrize(
    ("identity", "backend", "version", "inputs", "options"),
    [
        ("2b775b95eaab3704", "demo", "1", ("rain", 30.0, 7), DiffusionOptions(**SET)),
        (
            "b65f12c556eb78f4",
            "demo",
            "lofi-demo-1",
            ("rainy night, rhodes", 30, 42),
            DiffusionOptions(
                inference_steps=16, scheduler="euler", guidance_scale=3, cfg_type="cfg", erg=False
            ),
        ),
        (
            "7e32a38d88c311cc",
            "ace_step",
            "published-fp32",
            ("lofi beats", 60.5, 2**64 - 1),
            DiffusionOptions(
                inference_steps=27,
                scheduler="heun",
                guidance_scale=7.5,
                cfg_type="cfg_star",
                erg=False,
            ),
        ),
        (
            "f6c7cc23607a2616",
            "ace_step",
            "native-int8",
            ("Regen in Köln \u2602", 240, 0),
            DiffusionOptions(
                inference_steps=4,
                scheduler="pingpong",
                guidance_scale=1.0,
                cfg_type="apg",
                erg=True,
            ),
        ),
        ("5494719657e0c024", "musicgen", "small-native-int8", ("lofi piano", 5.0, 3), Options()),
        ("81c9954051fcb398", "musicgen", "medium-published", ("lofi piano", 120, 3), Options()),
        ("49133a763ac8fef7", "musicgen", None, ("lofi piano", 5, 3), Options()),
        ("a2c1645de67f2348", "ace_step", None, ("a", 5, 1), DiffusionOptions(inference_steps=1)),
        ("a62ca568abb4b17b", "ace_step", "1", ("a", 5, 1), DiffusionOptions(guidance_scale=15)),
        (
            "9696019b58eb3c30",
            "demo",
            "1",
            ("a", 5, 1),
            DiffusionOptions(scheduler="heun", erg=False),
        ),
    ],
)
def test_tracks_of_the_first_version_are_found_again(
    identity: str,
    backend: str,
    version: str | None,
    inputs: tuple[str, float, int],
    options: Options,
) -> None:
    """Written down when options were fields of the request: a change would lose every cache."""
    assert track_id(backend, version, GenerationRequest(*inputs, options)) == identity


class Later(DiffusionOptions):
    """As DiffusionOptions, in a version that has learnt something."""

    swing: float | None = None


def test_a_new_option_counts_only_where_it_is_set() -> None:
    def later(**swing: float) -> str:
        return track_id("demo", "1", replace(REQUEST, options=Later(**SET, **swing)))

    assert later() == track_id("demo", "1", REQUEST)
    assert len({later(), later(swing=0.5), later(swing=0.6)}) == 3


@pytest.mark.parametrize("change", [{"prompt": "Rain"}, {"duration_sec": 30.5}, {"seed": 8}])
def test_every_input_counts(change: dict[str, Any]) -> None:
    assert track_id("demo", "1", replace(REQUEST, **change)) != track_id("demo", "1", REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        {"inference_steps": 59},
        {"scheduler": "heun"},
        {"guidance_scale": 15.5},
        {"cfg_type": "cfg"},
        {"erg": False},
    ],
)
def test_every_option_counts(change: dict[str, Any]) -> None:
    changed = replace(REQUEST, options=DiffusionOptions(**{**SET, **change}))
    assert track_id("demo", "1", changed) != track_id("demo", "1", REQUEST)


def test_backend_and_version_count() -> None:
    ids = {track_id("demo", "1", REQUEST), track_id("ace_step", "1", REQUEST)}
    ids.add(track_id("demo", "2", REQUEST))
    ids.add(track_id("demo", None, REQUEST))
    assert len(ids) == 4


def test_an_integer_is_the_same_number() -> None:
    options = DiffusionOptions(**{**SET, "guidance_scale": 15})
    whole = replace(REQUEST, duration_sec=30, options=options)
    assert track_id("demo", "1", whole) == track_id("demo", "1", REQUEST)
