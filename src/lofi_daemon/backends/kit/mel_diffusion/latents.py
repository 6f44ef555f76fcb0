"""The latent grid: how long a track is in frames, of latents and of the mel spectrogram."""

from __future__ import annotations

import math

CHANNELS = 8
HEIGHT = 16
SAMPLE_RATE = 44100
SAMPLES_PER_FRAME = 4096
MEL_FRAMES_PER_LATENT = 8


def frames_for(duration_sec: float) -> int:
    """Latent frames that cover a duration: rounded up, the decoded track is trimmed to length."""
    return max(1, math.ceil(round(duration_sec * SAMPLE_RATE, 6) / SAMPLES_PER_FRAME))


def latents_shape(frames: int) -> tuple[int, int, int, int]:
    return 1, CHANNELS, HEIGHT, frames
