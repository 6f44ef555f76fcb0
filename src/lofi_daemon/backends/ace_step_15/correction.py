"""Differential correction in the wavelet domain (DCW, arXiv 2604.16044).

What a step has left between the latents and the clean estimate it was made from is split along
time into a smooth and a detailed half (Haar), and a little of each is added again: of the smooth
half while there is much noise, of the detailed one when there is little.
"""

from __future__ import annotations

import numpy as np

from lofi_daemon.backends.ace_step_15.latents import Latents

SMOOTH = 0.05
DETAILED = 0.02


def corrected(latents: Latents, clean: Latents, level: float) -> Latents:
    """The latents after a step from noise level `level`, whose first clean estimate was `clean`.

    Frames are paired; an odd last frame is paired with zero.
    """
    smooth = np.float32(SMOOTH * level)
    detailed = np.float32(DETAILED * (1.0 - level))
    difference = latents - clean
    frames = latents.shape[1]
    if frames % 2:
        difference = np.pad(difference, ((0, 0), (0, 1), (0, 0)))
    first, second = difference[:, 0::2], difference[:, 1::2]
    mean = np.float32(0.5) * smooth * (first + second)
    half = np.float32(0.5) * detailed * (first - second)
    correction = np.empty_like(difference)
    correction[:, 0::2] = mean + half
    correction[:, 1::2] = mean - half
    return (latents + correction[:, :frames]).astype(np.float32, copy=False)
