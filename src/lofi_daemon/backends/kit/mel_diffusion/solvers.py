"""Solvers of the flow ODE dx/dσ = v(x, σ), each a loop over the schedule.

A solver calls `velocity(latents, timestep, iteration)` and `on_iteration(iteration, latents)`.
Iterations count velocity evaluations: N for Euler and PingPong, 2N − 1 for Heun. Guidance is
part of the velocity; progress, cancellation and checks are on_iteration's business, and what has to
stay as it was is put back by `after_step(latents, sigma)`. A run that begins at step `first` gets
latents of that step's noise level; its steps and iterations are counted as those of a whole run.

Latents are float32 [1, 8, 16, T].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.schedule import Schedule
from lofi_daemon.backends.kit.watch import OnIteration

Latents = NDArray[np.float32]
Velocity = Callable[[Latents, np.float32, int], Latents]
# The conditional velocity and what guidance adds to it, None where it adds nothing.
VelocityParts = Callable[[Latents, np.float32, int], tuple[Latents, Latents | None]]
FreshNoise = Callable[[int], Latents]
# What is done to the latents after a step, at the noise level that they have reached.
AfterStep = Callable[[Latents, np.float32], Latents]


def unchanged(latents: Latents, sigma: np.float32) -> Latents:
    return latents


def mean_shift_factor(omega: float) -> float:
    """0.9 + 0.2·sigmoid(omega / 10): how far a step's deviation from its mean is stretched."""
    return 0.9 + 0.2 / (1.0 + math.exp(-0.1 * omega))


def _mean_shifted(step: Latents, factor: float) -> Latents:
    mean = step.mean(dtype=np.float64)
    return ((step - mean) * factor + mean).astype(np.float32)


def solve_euler(
    velocity: Velocity,
    latents: Latents,
    schedule: Schedule,
    on_iteration: OnIteration,
    omega: float,
    after_step: AfterStep = unchanged,
    first: int = 0,
) -> Latents:
    """First order: x ← x + M((σ' − σ)·v), M the mean shift."""
    factor = mean_shift_factor(omega)
    for step in range(first, schedule.steps):
        timestep = schedule.timesteps[step]
        interval = schedule.sigmas[step + 1] - schedule.sigmas[step]
        slope = velocity(latents, timestep, step)
        latents = latents + _mean_shifted(interval * slope, factor)
        latents = after_step(latents, schedule.sigmas[step + 1])
        on_iteration(step, latents)
    return latents


def solve_heun(
    velocity: Velocity,
    latents: Latents,
    schedule: Schedule,
    on_iteration: OnIteration,
    omega: float,
    after_step: AfterStep = unchanged,
    first: int = 0,
) -> Latents:
    """Second order: an Euler predictor, then the mean of both slopes; the last interval is Euler.

    The mean shift acts on the predictor and on the corrector.
    """
    factor = mean_shift_factor(omega)
    last = schedule.steps - 1
    for step in range(first, schedule.steps):
        timestep = schedule.timesteps[step]
        interval = schedule.sigmas[step + 1] - schedule.sigmas[step]
        slope = velocity(latents, timestep, 2 * step)
        predicted = latents + _mean_shifted(interval * slope, factor)
        on_iteration(2 * step, predicted)
        if step == last:
            return after_step(predicted, schedule.sigmas[step + 1])
        slope_ahead = velocity(predicted, schedule.timesteps[step + 1], 2 * step + 1)
        mean_slope = (slope + slope_ahead) * np.float32(0.5)
        latents = latents + _mean_shifted(interval * mean_slope, factor)
        latents = after_step(latents, schedule.sigmas[step + 1])
        on_iteration(2 * step + 1, latents)
    return latents


def solve_pingpong(
    velocity: Velocity,
    latents: Latents,
    schedule: Schedule,
    on_iteration: OnIteration,
    fresh_noise: FreshNoise,
    after_step: AfterStep = unchanged,
    first: int = 0,
) -> Latents:
    """Stochastic: to the clean estimate x₀ = x − σ·v and back, x ← (1 − σ')·x₀ + σ'·noise.

    fresh_noise(step): float32 of the latents' shape. No mean shift.
    """
    for step in range(first, schedule.steps):
        timestep = schedule.timesteps[step]
        sigma, next_sigma = schedule.sigmas[step], schedule.sigmas[step + 1]
        clean = latents - sigma * velocity(latents, timestep, step)
        latents = clean
        if next_sigma > 0:
            latents = (np.float32(1.0) - next_sigma) * clean + next_sigma * fresh_noise(step)
        latents = after_step(latents, next_sigma)
        on_iteration(step, latents)
    return latents


def solve_adams(
    velocity: VelocityParts,
    latents: Latents,
    schedule: Schedule,
    on_iteration: OnIteration,
    omega: float,
    after_step: AfterStep = unchanged,
    first: int = 0,
) -> Latents:
    """Second order at one evaluation a step (Adams–Bashforth), on nodes of any distance.

    x ← x + M(h·(v + h/2h₋·(v − v₋))), h₋ and v₋ of the step before. The two parts of the velocity
    are continued apart: what guidance adds begins and ends with a jump, so it has no past at its
    first step, and the conditional part, which does not jump, keeps its own across the borders.
    """
    factor = mean_shift_factor(omega)
    conditional_before, added_before, interval_before = None, None, np.float32(1.0)
    for step in range(first, schedule.steps):
        timestep = schedule.timesteps[step]
        interval = schedule.sigmas[step + 1] - schedule.sigmas[step]
        conditional, added = velocity(latents, timestep, step)
        ratio = interval / (np.float32(2.0) * interval_before)
        slope = _continued(conditional, conditional_before, ratio)
        if added is not None:
            slope = slope + _continued(added, added_before, ratio)
        latents = latents + _mean_shifted(interval * slope, factor)
        latents = after_step(latents, schedule.sigmas[step + 1])
        conditional_before, added_before, interval_before = conditional, added, interval
        on_iteration(step, latents)
    return latents


def _continued(slope: Latents, before: Latents | None, ratio: np.float32) -> Latents:
    """The slope in the middle of the coming step, as far as two slopes tell."""
    return slope if before is None else slope + ratio * (slope - before)
