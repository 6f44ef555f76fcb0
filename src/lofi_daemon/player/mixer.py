"""Mixing as pure functions over arrays: fades, ramps, gains.

Blocks are float32 [frames, 2], frame by frame as the device wants them. Positions inside a ramp are
counted in frames, so a transition comes out the same however the device cuts its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
Gains = NDArray[np.float32]

CHANNELS = 2
RAMP_SEC = 0.015


@dataclass(frozen=True)
class Ramp:
    """A value on its way from `start` to `end` in `length` frames, of which `done` have passed."""

    start: float
    end: float
    length: int
    done: int = 0

    @property
    def finished(self) -> bool:
        return self.done >= self.length

    def remaining(self, frames: int) -> int:
        """How many of the next `frames` frames are still on the way."""
        return max(0, min(frames, self.length - self.done))

    def advanced(self, frames: int) -> Ramp:
        return replace(self, done=min(self.done + frames, self.length))

    def progress(self, frames: int) -> NDArray[np.float64]:
        """How far the ramp is, 0–1, at each of the next `frames` frames: float64 [frames]."""
        if self.finished:
            return np.ones(frames)
        return np.minimum((self.done + np.arange(frames)) / self.length, 1.0)


def steady(value: float) -> Ramp:
    """A ramp that has arrived."""
    return Ramp(value, value, 0)


def smooth_gains(ramp: Ramp, frames: int) -> Gains:
    """The next gains of a raised-cosine ramp, level at both ends: float32 [frames]."""
    weight = 0.5 - 0.5 * np.cos(np.pi * ramp.progress(frames))
    return (ramp.start + (ramp.end - ramp.start) * weight).astype(np.float32)


def smooth_retarget(ramp: Ramp, end: float, length: int) -> Ramp:
    """A raised-cosine ramp from wherever `ramp` is now to `end`."""
    return Ramp(float(smooth_gains(ramp, 1)[0]), end, length)


def equal_power_gains(ramp: Ramp, frames: int) -> Gains:
    """The next gains of an equal-power fade: float32 [frames].

    The ramp carries the phase, 0 (silent) to 1 (full); the gain is sin(phase · π/2). Two tracks
    whose phases add up to 1 have gains of sine and cosine, and the sum of their powers is constant.
    """
    phase = ramp.start + (ramp.end - ramp.start) * ramp.progress(frames)
    return np.sin(phase * (np.pi / 2)).astype(np.float32)


def equal_power_retarget(ramp: Ramp, end: float, length: int) -> Ramp:
    """An equal-power fade from wherever `ramp` is now to `end`."""
    phase = ramp.start + (ramp.end - ramp.start) * float(ramp.progress(1)[0])
    return Ramp(phase, end, length)


def crossfade_frames(crossfade_sec: float, sample_rate: int, *track_frames: int) -> int:
    """Length of a crossfade in frames: never more than a quarter of any track that takes part."""
    return min(round(crossfade_sec * sample_rate), *(frames // 4 for frames in track_frames))


def mix(blocks: Sequence[Block], gains: Sequence[Gains], frames: int) -> Block:
    """The sum of blocks, each by its own gains: float32 [frames, 2].

    A block may be shorter than `frames`; what it lacks is silence.
    """
    total = np.zeros((frames, CHANNELS), np.float32)
    for block, gain in zip(blocks, gains, strict=True):
        count = len(block)
        total[:count] += block * gain[:count, np.newaxis]
    return total
