"""A track that ends where it begins, in the latents of ACE-Step's first version."""

from __future__ import annotations

from lofi_daemon.backends.kit.mel_diffusion.latents import SAMPLE_RATE, SAMPLES_PER_FRAME
from lofi_daemon.backends.kit.ring import Ring

OVERLAP_FRAMES = 32
"""Three seconds."""
CONTEXT_FRAMES = 16
"""Decoded before and after the ring: more than a vocoder hears at once."""


def ring_of(frames: int) -> Ring:
    """frames: latent frames of the track, at least OVERLAP_FRAMES."""
    return Ring(frames, OVERLAP_FRAMES, CONTEXT_FRAMES)


def seconds_of(frames: int) -> float:
    """How long latent frames sound."""
    return frames * SAMPLES_PER_FRAME / SAMPLE_RATE
