"""The latent grid of a track."""

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
