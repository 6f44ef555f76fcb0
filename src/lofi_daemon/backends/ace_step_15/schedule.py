"""The noise levels of a run: evenly spaced, then shifted towards noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise_levels(steps: int, shift: float) -> NDArray[np.float32]:
    """The `steps` levels 1 − i/N as s·t / (1 + (s − 1)·t), and the 0 that all of them end in.

    float32 [steps + 1]. For 8 steps and a shift of 1, 2 or 3 these are the levels that the turbo
    model was distilled for.
    """
    even = 1.0 - np.arange(steps + 1, dtype=np.float64) / steps
    return (shift * even / (1.0 + (shift - 1.0) * even)).astype(np.float32)


def nearest_step(levels: NDArray[np.float32], level: float) -> int:
    """The step that begins nearest to a noise level, the first of those where two are as near."""
    return int(np.argmin(np.abs(levels[:-1].astype(np.float64) - level)))
