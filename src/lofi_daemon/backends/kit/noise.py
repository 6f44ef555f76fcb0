"""The noise that a run starts from, equal on every platform."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Noise = NDArray[np.float32]


def gaussian_noise(seed: int, stream: int, shape: tuple[int, ...]) -> Noise:
    """Standard normal float32 of a shape, from a counter-based generator.

    Philox keyed by (seed, stream): stream 0 is the noise a run starts from, stream k + 1 the fresh
    noise of PingPong's step k.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))
    return generator.standard_normal(shape, dtype=np.float32)


def mixed_noise(noise: Noise, other: Noise, variation: float) -> Noise:
    """cos(v·π/2)·noise + sin(v·π/2)·other: as loud as either, near the first for a small v."""
    angle = 0.5 * math.pi * variation
    return np.float32(math.cos(angle)) * noise + np.float32(math.sin(angle)) * other


def starting_noise(
    seed: int, shape: tuple[int, ...], variation: float = 0.0, variation_seed: int = 0
) -> Noise:
    """The noise of the seed's track, gone by `variation` (0 to 1) towards that of another."""
    noise = gaussian_noise(seed, 0, shape)
    if variation == 0.0:
        return noise
    return mixed_noise(noise, gaussian_noise(variation_seed, 0, shape), variation)
