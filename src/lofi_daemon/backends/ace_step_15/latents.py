"""The latent grid of a track, and the noise that a run starts from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.float32]
"""float32 [1, frames, channels]."""

# Shorter tracks are made this long and cut: the model was never trained on less.
MIN_FRAMES = 128


def frames_for(duration_sec: float, sample_rate: int, samples_per_frame: int) -> int:
    """Latent frames that cover a duration: rounded up, the decoded track is cut to length."""
    return math.ceil(round(duration_sec * sample_rate, 6) / samples_per_frame)


def gaussian_noise(seed: int, stream: int, frames: int, channels: int) -> Latents:
    """Standard normal latents from a counter-based generator, equal on every platform.

    Philox keyed by (seed, stream): stream 0 is the noise a run starts from, stream k + 1 the fresh
    noise of PingPong's step k.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))
    return generator.standard_normal((1, frames, channels), dtype=np.float32)


def mixed_noise(noise: Latents, other: Latents, variation: float) -> Latents:
    """cos(v·π/2)·noise + sin(v·π/2)·other: as loud as either, near the first for a small v."""
    angle = 0.5 * math.pi * variation
    return np.float32(math.cos(angle)) * noise + np.float32(math.sin(angle)) * other
