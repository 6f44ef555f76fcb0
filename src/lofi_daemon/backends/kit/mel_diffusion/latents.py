"""The latent grid: how long a track is in frames, and the noise it starts from."""

from __future__ import annotations

import math

import numpy as np

from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents

CHANNELS = 8
HEIGHT = 16
SAMPLE_RATE = 44100
SAMPLES_PER_FRAME = 4096


def frames_for(duration_sec: float) -> int:
    """Latent frames that cover a duration: rounded up, the decoded track is trimmed to length."""
    return max(1, math.ceil(round(duration_sec * SAMPLE_RATE, 6) / SAMPLES_PER_FRAME))


def gaussian_noise(seed: int, stream: int, frames: int) -> Latents:
    """Standard normal latents float32 [1, 8, 16, frames] from a counter-based generator.

    Philox keyed by (seed, stream): stream 0 is the noise a run starts from, stream k + 1 the fresh
    noise of PingPong's step k. Equal keys give equal numbers on every platform.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))
    return generator.standard_normal((1, CHANNELS, HEIGHT, frames), dtype=np.float32)
