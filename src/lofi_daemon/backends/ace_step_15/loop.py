"""A track that ends where it begins, in the latents of ACE-Step 1.5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lofi_daemon.backends.ace_step_15.bundle import MIN_FRAMES, AudioFacts
from lofi_daemon.backends.ace_step_15.editing import Course
from lofi_daemon.backends.ace_step_15.latents import Context, Latents, context_of
from lofi_daemon.backends.ace_step_15.solvers import FreshNoise, Levels
from lofi_daemon.backends.kit.ring import Ring

OVERLAP_SEC = 3.0
MORE_CONTEXT_FRAMES = 4
"""Decoded around the ring, beyond what a sample depends on: the ramp lies in it."""


def whole_sec(duration_sec: float, audio: AudioFacts) -> float:
    """The length of a loop that is to be so long: whole latent frames, and as many as are made."""
    frames = round(duration_sec * audio.sample_rate / audio.samples_per_frame)
    return max(MIN_FRAMES, frames) * audio.samples_per_frame / audio.sample_rate


def ring_of(duration_sec: float, audio: AudioFacts) -> Ring:
    """duration_sec: of whole latent frames."""
    frames_per_sec = audio.sample_rate / audio.samples_per_frame
    return Ring(
        round(duration_sec * frames_per_sec),
        overlap=round(OVERLAP_SEC * frames_per_sec),
        context=audio.reach_frames + MORE_CONTEXT_FRAMES,
    )


@dataclass(frozen=True)
class Loop:
    """How a run goes that leads to a ring; see `editing.Course`."""

    ring: Ring

    def context(self, silence: Latents) -> Context:
        return context_of(silence)

    def course(self, noise: Latents, levels: Levels) -> Course:
        def after_step(latents: Latents, step: int, level: np.float32) -> Latents:
            return _along_time(self.ring.made_one, latents)

        return Course(_along_time(self.ring.tied, noise), after_step=after_step)

    def fresh_noise(self, drawn: FreshNoise) -> FreshNoise:
        """What PingPong draws for a ring."""
        return lambda step: _along_time(self.ring.tied, drawn(step))

    def finished(self, latents: Latents) -> Latents:
        """The track's own frames."""
        return _along_time(self.ring.of, latents)

    def unrolled(self, latents: Latents) -> Latents:
        """The track's frames with those around them, as the ring goes on."""
        return _along_time(self.ring.unrolled, latents)


def _along_time(change: Callable[[Latents], Latents], latents: Latents) -> Latents:
    """The latents [1, T, C] changed by what has the frames last."""
    return np.ascontiguousarray(change(latents.swapaxes(1, 2)).swapaxes(1, 2))
