"""Going on from a track: its latents in the grid of the new one, and what keeps them there.

As the original does it (ace-step/ACE-Step, `pipeline_ace_step.py`, the repaint and extend branches
of the diffusion loop): after every step, whatever is not to be new is put back to the source at
that step's noise level, x ← (1 − σ)·source + σ·noise, with the noise that the run began with; and a
run that goes only a part of the way begins at a later step, with all of the source at its level.
The parity test of editing lists where this is other than there, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
USUAL_STRENGTH = 0.5
"""Of new music from a sound; what is made anew, or added, is made of noise alone."""


@dataclass(frozen=True)
class Kept:
    """source: float32 [1, 8, 16, T], zeros where it has nothing. new: bool [T], what is made.

    strength: of the steps, the share that is made; where it is 1, nothing of the source is under
    what is new.
    """

    source: Latents
    new: NDArray[np.bool_]
    strength: float = 1.0

    @property
    def holds_on(self) -> bool:
        """Whether any of the source is to stay."""
        return not self.new.all()

    def noisy(self, noise: Latents, sigma: np.float32) -> Latents:
        """The source at a noise level."""
        return (np.float32(1.0) - sigma) * self.source + sigma * noise

    def put_back(self, noise: Latents) -> AfterStep:
        """noise: what the run began with."""

        def after_step(latents: Latents, sigma: np.float32) -> Latents:
            return np.where(self.new, latents, self.noisy(noise, sigma)).astype(np.float32)

        return after_step


def strength_of(task: Task) -> float:
    return 1.0 if task.strength is None else task.strength


def hears_source(task: Task) -> bool:
    """Whether the model gets the source's latents: not for the source itself, nor for a new
    track."""
    return task.name != "from_audio" or 0.0 < strength_of(task) < 1.0


def kept_of(task: Task, latents: Latents, frames: int) -> Kept:
    """latents: the source's, [1, 8, 16, S]; frames: of the new track.

    Raises InvalidParams where they are no latents of this kind of model.
    """
    if not fits(latents):
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
    if task.name != "from_audio":
        new[offset : offset + count] = False
        new[_made(task)] = True
    return Kept(source, new, strength_of(task))


def fits(latents: NDArray[np.generic]) -> bool:
    """Whether these can be latents of such a model."""
    return latents.ndim == 4 and latents.shape[:3] == (1, CHANNELS, HEIGHT)


def _made(task: Task) -> slice:
    """The frames that are made."""
    if task.name == "flow":
        return slice(task.lead_frames(FRAMES_PER_SEC), None)
    start, stop = task.window_sec
    return slice(math.floor(start * FRAMES_PER_SEC), math.ceil(stop * FRAMES_PER_SEC))
