"""Solvers of the flow ODE dx/dt = v(x, t) from noise (t = 1) to data (t = 0).

A solver asks `slopes` for the velocity, calls `correct(latents, clean, level)` once a step, and
`on_iteration(iteration, latents)` after every velocity. Latents are float32 [1, T, C]; levels
float32 [N + 1], the last of them 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.kit.solver import Solver
from lofi_daemon.backends.kit.watch import OnIteration

Levels = NDArray[np.float32]
Velocity = Callable[[Latents, np.float32], Latents]
Correct = Callable[[Latents, Latents, float], Latents]
AfterStep = Callable[[Latents, int, np.float32], Latents]
"""after_step(latents, step, level): the latents that the next step begins with, at its level."""
FreshNoise = Callable[[int], Latents]


def uncorrected(latents: Latents, clean: Latents, level: float) -> Latents:
    return latents


def untouched(latents: Latents, step: int, level: np.float32) -> Latents:
    return latents


@dataclass(frozen=True)
class Slopes:
    """Whom a solver asks at the start of a step, and ahead of it."""

    at: Velocity
    ahead: Velocity


def handed_over(before: Velocity, after: Velocity, level: np.float32) -> Slopes:
    """One velocity for the steps that begin above a level, another for those from it on down.

    The far end of a step, which may lie at that level, belongs to the step.
    """

    def at(latents: Latents, now: np.float32) -> Latents:
        return (before if now > level else after)(latents, now)

    def ahead(latents: Latents, now: np.float32) -> Latents:
        return (before if now >= level else after)(latents, now)

    return Slopes(at, ahead)


@dataclass(frozen=True)
class Run:
    """What a solver walks along and whom it asks.

    start: latents at the first level. slopes: PingPong and Euler ask at the start of a step alone.
    renoise_levels: the levels that PingPong goes back up to after each step, float32 [N], the last
    of them 0. slope_at_zero: Heun averages the slopes of its last step too, as the base models do;
    otherwise that step is Euler's. after_step: called between two steps.
    """

    start: Latents
    slopes: Slopes
    levels: Levels
    renoise_levels: Levels
    fresh_noise: FreshNoise
    on_iteration: OnIteration
    correct: Correct = uncorrected
    after_step: AfterStep = untouched
    slope_at_zero: bool = False

    @property
    def steps(self) -> int:
        return len(self.levels) - 1

    def end_step(self, latents: Latents, step: int, following: np.float32) -> Latents:
        """What the next step begins with; the last one's end is left as it is."""
        return latents if step == self.steps - 1 else self.after_step(latents, step, following)


def solve_euler(run: Run) -> Latents:
    """First order: x ← x + (t' − t)·v."""
    latents = run.start
    for step in range(run.steps):
        level, following = run.levels[step], run.levels[step + 1]
        slope = run.slopes.at(latents, level)
        clean = latents - level * slope
        latents = latents + (following - level) * slope
        latents = run.correct(latents, clean, float(level))
        latents = run.end_step(latents, step, following)
        run.on_iteration(step, latents)
    return latents


def solve_heun(run: Run) -> Latents:
    """Second order: an Euler predictor, then the mean of the slopes at both of its ends."""
    latents = run.start
    iteration = 0
    for step in range(run.steps):
        level, following = run.levels[step], run.levels[step + 1]
        slope = run.slopes.at(latents, level)
        clean = latents - level * slope
        ahead = latents + (following - level) * slope
        if following > 0.0 or run.slope_at_zero:
            run.on_iteration(iteration, ahead)
            iteration += 1
            slope_ahead = run.slopes.ahead(ahead, following)
            ahead = latents + (following - level) * np.float32(0.5) * (slope + slope_ahead)
        latents = run.correct(ahead, clean, float(level))
        latents = run.end_step(latents, step, following)
        run.on_iteration(iteration, latents)
        iteration += 1
    return latents


def solve_pingpong(run: Run) -> Latents:
    """Stochastic: to the clean estimate x₀ = x − t·v and back, x ← (1 − t')·x₀ + t'·noise."""
    latents = run.start
    for step in range(run.steps):
        level, following = run.levels[step], run.renoise_levels[step]
        clean = latents - level * run.slopes.at(latents, level)
        latents = clean
        if following > 0.0:
            latents = following * run.fresh_noise(step) + (np.float32(1.0) - following) * clean
        latents = run.correct(latents, clean, float(level))
        latents = run.end_step(latents, step, following)
        run.on_iteration(step, latents)
    return latents


def _once_a_step(steps: int, slope_at_zero: bool) -> int:
    return steps


def _twice_a_step(steps: int, slope_at_zero: bool) -> int:
    return 2 * steps if slope_at_zero else 2 * steps - 1


SOLVERS: Mapping[str, Solver[Run, bool]] = {
    "euler": Solver(solve_euler, _once_a_step),
    "heun": Solver(solve_heun, _twice_a_step),
    "pingpong": Solver(solve_pingpong, _once_a_step),
}
"""The mode that evaluations depend on is the run's slope_at_zero."""
