"""A track that ends where it begins: its latents are a ring.

A few frames more are diffused than the track has, and they are its first ones once more: they start
from the same noise, and after every step both takes of them are made one, which begins as the later
take, that knows how the track ends, and passes into the earlier one, that the rest goes on from.
What is decoded reaches over the ring's seam at both sides, so that the sound before the first
sample can lead into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples

Latents = NDArray[np.float32]
"""float32 [..., frames]."""

RAMP_SEC = 0.05


@dataclass(frozen=True)
class Ring:
    """frames: latent frames of the track. overlap: how many of them are diffused once more, not
    more than there are. context: how many are decoded before and after it."""

    frames: int
    overlap: int
    context: int

    @property
    def diffused_frames(self) -> int:
        return self.frames + self.overlap

    def tied(self, noise: Latents) -> Latents:
        """The noise [..., diffused_frames], both takes of the beginning with the same."""
        both = noise.copy()
        both[..., self.frames :] = noise[..., : self.overlap]
        return both

    def made_one(self, latents: Latents) -> Latents:
        """The latents with both takes of the beginning made one."""
        early, late = latents[..., : self.overlap], latents[..., self.frames :]
        position = np.arange(self.overlap, dtype=np.float32) / (self.overlap - 1)
        share = 0.5 + 0.5 * np.cos(np.pi * position, dtype=np.float32)
        joined = latents.copy()
        joined[..., : self.overlap] = early + share * (late - early)
        joined[..., self.frames :] = joined[..., : self.overlap]
        return joined

    def of(self, latents: Latents) -> Latents:
        """The track's own frames of what was diffused."""
        return latents[..., : self.frames]

    def unrolled(self, latents: Latents) -> Latents:
        """The track's frames with those around them, as the ring goes on."""
        before, after = latents[..., -self.context :], latents[..., : self.context]
        return np.concatenate([before, latents, after], axis=-1)


def closed(samples: Samples, sample_rate: int, start: int, frames: int) -> Samples:
    """The track, [channels, frames], of sound that begins `start` samples before it.

    Its last samples pass into those before its first one.
    """
    ramp = round(RAMP_SEC * sample_rate)
    track = spool.zeros(samples.shape[0], frames)
    track[:] = samples[:, start : start + frames]
    share = (np.arange(1, ramp + 1) / (ramp + 1)).astype(np.float32)
    end = track[:, frames - ramp :]
    end += share * (samples[:, start - ramp : start] - end)
    return track
