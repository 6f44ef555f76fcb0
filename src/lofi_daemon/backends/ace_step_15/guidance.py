"""Guidance of the base models: adaptive projected (APG, arXiv 2410.02416) over time, or plain."""

from __future__ import annotations

import numpy as np

from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.ace_step_15.solvers import Slopes

MOMENTUM = -0.75
NORM_LIMIT = 2.5
SMALLEST_NORM = 1e-12


def classifier_free(conditional: Latents, unconditional: Latents, scale: float) -> Latents:
    """u + s·(c − u)."""
    return unconditional + np.float32(scale) * (conditional - unconditional)


def adaptive_projected(
    conditional: Latents, unconditional: Latents, scale: float, momentum: Latents | None
) -> tuple[Latents, Latents]:
    """c + (s − 1)·d, and the new momentum.

    d is the difference with (negative) momentum, each channel limited to a norm of 2.5 over time,
    without its part parallel to the conditional prediction. The momentum kept is unlimited.
    """
    difference = conditional - unconditional
    if momentum is not None:
        difference = difference + np.float32(MOMENTUM) * momentum
    norm = np.sqrt((difference.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    limit = np.minimum(1.0, NORM_LIMIT / np.maximum(norm, SMALLEST_NORM)).astype(np.float32)
    limited = (difference * limit).astype(np.float64)
    direction = conditional.astype(np.float64)
    length = np.sqrt((direction**2).sum(axis=1, keepdims=True))
    direction /= np.maximum(length, SMALLEST_NORM)
    parallel = (limited * direction).sum(axis=1, keepdims=True) * direction
    orthogonal = (limited - parallel).astype(np.float32)
    return conditional + np.float32(scale - 1.0) * orthogonal, difference


def guided(
    conditional: Slopes, unconditional: Slopes, scale: float, levels: tuple[float, float]
) -> Slopes:
    """Away from what no text would give, at the noise levels from … to.

    At the start of a step by adaptive projection, whose momentum lives as long as what is
    returned, and ahead of it by the plain form, as the original does.
    """
    lowest, highest = np.float32(levels[0]), np.float32(levels[1])
    momentum: Latents | None = None

    def at(latents: Latents, level: np.float32) -> Latents:
        nonlocal momentum
        with_text = conditional.at(latents, level)
        if not lowest <= level <= highest:
            return with_text
        without = unconditional.at(latents, level)
        result, momentum = adaptive_projected(with_text, without, scale, momentum)
        return result

    def ahead(latents: Latents, level: np.float32) -> Latents:
        with_text = conditional.ahead(latents, level)
        if not lowest <= level <= highest:
            return with_text
        return classifier_free(with_text, unconditional.ahead(latents, level), scale)

    return Slopes(at, ahead)
