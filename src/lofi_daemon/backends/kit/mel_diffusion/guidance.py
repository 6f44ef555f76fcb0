"""Guidance: the step from the conditional towards what sets it apart from the unconditional.

Three ways to combine both predictions, all float32 [B, C, H, T]:
plain classifier-free guidance (Ho & Salimans, arXiv 2207.12598), CFG-Zero★ (arXiv 2503.18886)
and adaptive projected guidance (APG, arXiv 2410.02416) as ACE-Step uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.solvers import (
    Latents,
    Velocity,
    VelocityParts,
)

MOMENTUM = -0.75
NORM_LIMIT = 2.5
ZERO_INIT_ITERATIONS = 2


@dataclass(frozen=True)
class Guidance:
    """How strong, which way, and during which middle part of the run.

    interval: share of the steps that is guided, centred (1.0: all of them). decay: 0 keeps the
    scale, 1 lets it fall linearly to minimum_scale at the end of the interval.
    """

    scale: float = 15.0
    cfg_type: str = "apg"
    interval: float = 0.5
    decay: float = 0.0
    minimum_scale: float = 3.0

    def guided_iterations(self, steps: int) -> range:
        """The guided iterations. Counted in iterations for Heun too, so its noisy first part.

        Empty at a scale of 0 or 1, where guidance changes nothing.
        """
        if self.scale in (0.0, 1.0):
            return range(0)
        start = int(steps * ((1.0 - self.interval) / 2.0))
        return range(start, int(steps * (self.interval / 2.0 + 0.5)))

    @property
    def guided_share(self) -> float:
        """The share of the run that is guided: none at a scale of 0 or 1."""
        return 0.0 if self.scale in (0.0, 1.0) else self.interval

    def scale_at(self, iteration: int, guided: range) -> float:
        """The scale of one guided iteration, `decay` applied."""
        if self.decay <= 0.0 or len(guided) < 2:
            return self.scale
        passed = (iteration - guided.start) / (len(guided) - 1)
        return self.scale - (self.scale - self.minimum_scale) * passed * self.decay


def classifier_free(conditional: Latents, unconditional: Latents, scale: float) -> Latents:
    """u + s·(c − u)."""
    return unconditional + np.float32(scale) * (conditional - unconditional)


def cfg_zero_star(conditional: Latents, unconditional: Latents, scale: float) -> Latents:
    """CFG against the unconditional projected on the conditional: a = ⟨c, u⟩ / ‖u‖², per item."""
    axes = tuple(range(1, conditional.ndim))
    product = (conditional * unconditional).sum(axis=axes, keepdims=True)
    square = (unconditional**2).sum(axis=axes, keepdims=True)
    scaled = unconditional * (product / (square + np.float32(1e-8)))
    return classifier_free(conditional, scaled, scale)


def adaptive_projected(
    conditional: Latents, unconditional: Latents, scale: float, momentum: Latents | None
) -> tuple[Latents, Latents]:
    """c + (s − 1)·d, and the new momentum.

    d is the difference with (negative) momentum, each plane of height × time limited to a norm of
    2.5, without its part parallel to the conditional prediction. The momentum kept is unlimited.
    """
    difference = conditional - unconditional
    if momentum is not None:
        difference = difference + np.float32(MOMENTUM) * momentum
    return conditional + np.float32(scale - 1.0) * _orthogonal(conditional, difference), difference


def steady_projected(conditional: Latents, unconditional: Latents, scale: float) -> Latents:
    """(s − 1)·d of `adaptive_projected`, with the momentum that many steps settle at.

    The recursion d' = d + m·d'₋ tends to d / (1 − m) where d hardly changes from step to step. In
    a run of few steps it changes much, and the recursion itself would turn the direction away.
    """
    difference = (conditional - unconditional) / np.float32(1.0 - MOMENTUM)
    return np.float32(scale - 1.0) * _orthogonal(conditional, difference)


def _orthogonal(conditional: Latents, difference: NDArray[np.floating]) -> Latents:
    """The difference, limited plane by plane, without its part along the conditional prediction."""
    norm = np.sqrt((difference.astype(np.float64) ** 2).sum(axis=(-2, -1), keepdims=True))
    limit = np.minimum(1.0, NORM_LIMIT / np.maximum(norm, 1e-30)).astype(np.float32)
    limited = (difference * limit).astype(np.float64)
    direction = conditional.astype(np.float64)
    length = np.sqrt((direction**2).sum(axis=(-2, -1), keepdims=True))
    direction = direction / np.maximum(length, 1e-12)
    parallel = (limited * direction).sum(axis=(-2, -1), keepdims=True) * direction
    return (limited - parallel).astype(np.float32)


ConditionalCall = Callable[[Latents, np.float32], Latents]
BothCall = Callable[[Latents, np.float32], tuple[Latents, Latents]]


def guided(
    conditional: ConditionalCall, both: BothCall, guidance: Guidance, steps: int
) -> Velocity:
    """The velocity of one run of `steps`: guided inside the interval, conditional elsewhere.

    conditional(latents, timestep) is one model call; both(…) gives the conditional and the
    unconditional prediction. APG's momentum lives as long as the returned function.
    """
    window = guidance.guided_iterations(steps)
    momentum: Latents | None = None

    def velocity(latents: Latents, timestep: np.float32, iteration: int) -> Latents:
        nonlocal momentum
        if iteration not in window:
            return conditional(latents, timestep)
        scale = guidance.scale_at(iteration, window)
        with_prompt, without_prompt = both(latents, timestep)
        if guidance.cfg_type == "apg":
            result, momentum = adaptive_projected(with_prompt, without_prompt, scale, momentum)
            return result
        if guidance.cfg_type == "cfg":
            return classifier_free(with_prompt, without_prompt, scale)
        if iteration < ZERO_INIT_ITERATIONS:
            return np.zeros_like(with_prompt)
        return cfg_zero_star(with_prompt, without_prompt, scale)

    return velocity


def guided_parts(
    conditional: ConditionalCall, both: BothCall, guidance: Guidance, window: range
) -> VelocityParts:
    """As `guided`, in its two parts and without APG's memory; `window`: the guided iterations.

    CFG-Zero★'s zero velocity at the beginning is left out: it is made for solvers without a past.
    """

    def velocity(
        latents: Latents, timestep: np.float32, iteration: int
    ) -> tuple[Latents, Latents | None]:
        if iteration not in window:
            return conditional(latents, timestep), None
        scale = guidance.scale_at(iteration, window)
        with_prompt, without_prompt = both(latents, timestep)
        if guidance.cfg_type == "apg":
            return with_prompt, steady_projected(with_prompt, without_prompt, scale)
        combine = classifier_free if guidance.cfg_type == "cfg" else cfg_zero_star
        return with_prompt, combine(with_prompt, without_prompt, scale) - with_prompt

    return velocity
