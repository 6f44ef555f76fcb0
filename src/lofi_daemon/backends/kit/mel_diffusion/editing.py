"""Going on from a track: its latents in the grid of the new one, and what keeps them there.

As the original does it: after every step, whatever is not to be new is put back to the source at
that step's noise level, x ← (1 − σ)·source + σ·noise, with the noise that the run began with
(ace-step/ACE-Step, `pipeline_ace_step.py`, the repaint and extend branches of the diffusion loop).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.latents import (
    CHANNELS,
    HEIGHT,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
)
from lofi_daemon.backends.kit.mel_diffusion.solvers import AfterStep, Latents
from lofi_daemon.backends.tasks import Task
from lofi_daemon.errors import InvalidParams

SCORE = "score"
FRAMES_PER_SEC = SAMPLE_RATE / SAMPLES_PER_FRAME
OUTPUT_SAMPLE_RATE = 48000
RAMP_SEC = 0.05
"""How long new music and its source pass into each other, outside the new music."""


@dataclass(frozen=True)
class Kept:
    """source: float32 [1, 8, 16, T], zeros where it has nothing. new: bool [T], what is made."""

    source: Latents
    new: NDArray[np.bool_]

    def put_back(self, noise: Latents) -> AfterStep:
        """noise: what the run began with."""

        def after_step(latents: Latents, sigma: np.float32) -> Latents:
            held = (np.float32(1.0) - sigma) * self.source + sigma * noise
            return np.where(self.new, latents, held).astype(np.float32)

        return after_step


def kept_of(task: Task, latents: NDArray[Any], frames: int) -> Kept:
    """latents: the source's, [1, 8, 16, S]; frames: of the new track.

    Raises InvalidParams where they are no latents of this kind of model.
    """
    if latents.shape[:3] != (1, CHANNELS, HEIGHT) or latents.ndim != 4:
        raise InvalidParams(
            f"{task.source.title} was made by another kind of model.", parameters=["source"]
        )
    offset = round(task.offset_sec * FRAMES_PER_SEC)
    heard = latents[..., max(0, -offset) :]
    offset = max(0, offset)
    source = np.zeros((1, CHANNELS, HEIGHT, frames), dtype=np.float32)
    count = max(0, min(heard.shape[3], frames - offset))
    source[..., offset : offset + count] = heard[..., :count]
    new = np.ones(frames, dtype=np.bool_)
    new[offset : offset + count] = False
    new[_made(task)] = True
    return Kept(source, new)


def _made(task: Task) -> slice:
    """The frames that are made."""
    if task.name == "flow":
        return slice(task.lead_frames(FRAMES_PER_SEC), None)
    start, stop = task.window_sec
    return slice(math.floor(start * FRAMES_PER_SEC), math.ceil(stop * FRAMES_PER_SEC))
