"""A cache in a temporary folder, and a way to put tracks into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.tracks import Recipe, Track, TrackCache
from lofi_daemon.tracks.writing import write_track

MakeTrack = Callable[..., Track]


def tone(seconds: float = 1.0, channels: int = 2, rate: int = 48000) -> AudioClip:
    wave = 0.5 * np.sin(2 * np.pi * 440 / rate * np.arange(round(seconds * rate)))
    return AudioClip(np.tile(wave, (channels, 1)).astype(np.float32), rate)


@pytest.fixture
def cache(tmp_path: Path) -> TrackCache:
    cache = TrackCache(tmp_path / "tracks", max_bytes=10**9)
    cache.prepare()
    return cache


@pytest.fixture
def make_track(cache: TrackCache) -> MakeTrack:
    """make_track(prompt, …) writes a tone and gives the track."""

    def make(
        prompt: str = "rain",
        *,
        seed: int = 7,
        clip: AudioClip | None = None,
        track_format: TrackFormat = "wav16",
        cache: TrackCache = cache,
        cancel: CancelToken | None = None,
        before_commit: Callable[[], None] = lambda: None,
    ) -> Track:
        request = GenerationRequest(
            prompt, 30.0, seed, options=DiffusionOptions(inference_steps=60, scheduler="euler")
        )
        return write_track(
            cache,
            clip or tone(),
            Recipe("demo", "1", request),
            track_format=track_format,
            elapsed_sec=lambda: 1.5,
            cancel=cancel or CancelToken(),
            before_commit=before_commit,
        )

    return make
