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

from lofi_daemon.backends.kit.mel_diffusion.latents import SAMPLE_RATE, SAMPLES_PER_FRAME
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples

OVERLAP_FRAMES = 32
"""Three seconds."""
CONTEXT_FRAMES = 16
"""Decoded before and after the ring: more than a vocoder hears at once."""
RAMP_SEC = 0.05


@dataclass(frozen=True)
class Ring:
    """frames: latent frames of the track, at least OVERLAP_FRAMES."""

    frames: int

    @property
    def diffused_frames(self) -> int:
        return self.frames + OVERLAP_FRAMES

    def tied(self, noise: Latents) -> Latents:
        """The noise [1, 8, 16, diffused_frames], both takes of the beginning with the same."""
        both = noise.copy()
        both[..., self.frames :] = noise[..., :OVERLAP_FRAMES]
        return both

    def after_step(self, latents: Latents, sigma: np.float32) -> Latents:
        """The latents with both takes of the beginning made one."""
        early, late = latents[..., :OVERLAP_FRAMES], latents[..., self.frames :]
        position = np.arange(OVERLAP_FRAMES, dtype=np.float32) / (OVERLAP_FRAMES - 1)
        share = 0.5 + 0.5 * np.cos(np.pi * position, dtype=np.float32)
        joined = latents.copy()
        joined[..., :OVERLAP_FRAMES] = early + share * (late - early)
        joined[..., self.frames :] = joined[..., :OVERLAP_FRAMES]
        return joined

    def of(self, latents: Latents) -> Latents:
        """The track's own frames of what was diffused."""
        return latents[..., : self.frames]

    def unrolled(self, latents: Latents) -> Latents:
        """The track's frames with those around them, as the ring goes on."""
        before, after = latents[..., -CONTEXT_FRAMES:], latents[..., :CONTEXT_FRAMES]
        return np.concatenate([before, latents, after], axis=-1)


def seconds_of(frames: int) -> float:
    """How long latent frames sound."""
    return frames * SAMPLES_PER_FRAME / SAMPLE_RATE


def closed(samples: Samples, sample_rate: int, frames: int) -> Samples:
    """The track, [channels, frames], of sound that begins CONTEXT_FRAMES before it.

    Its last samples pass into those before its first one.
    """
    start = round(seconds_of(CONTEXT_FRAMES) * sample_rate)
    ramp = round(RAMP_SEC * sample_rate)
    track = spool.zeros(samples.shape[0], frames)
    track[:] = samples[:, start : start + frames]
    share = (np.arange(1, ramp + 1) / (ramp + 1)).astype(np.float32)
    end = track[:, frames - ramp :]
    end += share * (samples[:, start - ramp : start] - end)
    return track
