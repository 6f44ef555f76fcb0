"""Going on from a track: its latents in the grid of the new one, and what keeps them there.

As the original does it: after every step, whatever is not to be new is put back to the source at
that step's noise level, x ← (1 − σ)·source + σ·noise, with the noise that the run began with
(ace-step/ACE-Step, `pipeline_ace_step.py`, the repaint and extend branches of the diffusion loop).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
from lofi_daemon.backends.kit.splice import Splice
from lofi_daemon.backends.tasks import Task
from lofi_daemon.errors import InvalidParams
from lofi_daemon.sound.material import read_material

LATENTS = "latents"
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


def material_of(task: Task) -> dict[str, NDArray[Any]]:
    """What the source was made of. Raises InvalidParams where that was not kept."""
    source = task.source
    if source.material is None:
        raise InvalidParams(
            f"What {source.title} was made of is not beside it.",
            hint="Delete it, and make it again with the same words and seed.",
            parameters=["source"],
        )
    return read_material(source.material)


def kept_of(task: Task, latents: NDArray[Any], frames: int) -> Kept:
    """latents: the source's, [1, 8, 16, S]; frames: of the new track.

    Raises InvalidParams where they are no latents of this kind of model.
    """
    if latents.shape[:3] != (1, CHANNELS, HEIGHT) or latents.ndim != 4:
        raise InvalidParams(
            f"{task.source.title} was made by another kind of model.", parameters=["source"]
        )
    offset = round(task.offset_sec * FRAMES_PER_SEC)
    start, stop = task.window_sec
    source = np.zeros((1, CHANNELS, HEIGHT, frames), dtype=np.float32)
    count = max(0, min(latents.shape[3], frames - offset))
    source[..., offset : offset + count] = latents[..., :count]
    new = np.ones(frames, dtype=np.bool_)
    new[offset : offset + count] = False
    new[math.floor(start * FRAMES_PER_SEC) : math.ceil(stop * FRAMES_PER_SEC)] = True
    return Kept(source, new)


def splice_of(task: Task, duration_sec: float) -> Splice:
    """Where the source's sound stays in a new track of that length."""
    start, stop = task.window_sec
    return Splice(
        task.source.path,
        offset=round(task.offset_sec * OUTPUT_SAMPLE_RATE),
        start=round(start * OUTPUT_SAMPLE_RATE),
        stop=round(min(stop, duration_sec) * OUTPUT_SAMPLE_RATE),
        ramp=round(RAMP_SEC * OUTPUT_SAMPLE_RATE),
    )


def joined(task: Task, end_sec: float, begin_sec: float, bar_frames: int = 1) -> Task:
    """An extension that takes over where its source is still whole.

    end_sec: up to where the source goes on as it did (before a fade, or an ending); begin_sec: from
    where on it does. What comes before the source is a whole number of `bar_frames` latent frames.
    """
    if task.name != "extend" or task.span is None:
        return task
    start, stop = task.span
    if start < 0:
        bars = max(1, round(-start * FRAMES_PER_SEC / bar_frames))
        return replace(task, span=(-bars * bar_frames / FRAMES_PER_SEC, max(stop, begin_sec)))
    return replace(task, span=(min(start, end_sec), stop))
