"""The solvers on flows whose answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.schedule import (
    Schedule,
    flow_schedule,
    windowed_schedule,
)
from lofi_daemon.backends.kit.mel_diffusion.solvers import (
    Latents,
    mean_shift_factor,
    solve_adams,
    solve_euler,
    solve_heun,
    solve_pingpong,
)

SHAPE = (1, 8, 16, 6)
NO_MEAN_SHIFT = 0.0  # omega 0: 0.9 + 0.2 / 2 = 1


def noise(seed: int = 0) -> Latents:
    return np.random.default_rng(seed).standard_normal(SHAPE, dtype=np.float32)


def decay(latents: Latents, timestep: np.float32, iteration: int) -> Latents:
    """dx/dσ = x: from σ = 1 to 0 the latents shrink by e."""
    return latents


def ignore(iteration: int, latents: Latents) -> None:
    pass


@pytest.mark.parametrize(("solve", "order"), [(solve_euler, 1), (solve_heun, 2)])
def test_error_falls_with_the_order_of_the_solver(solve: object, order: int) -> None:
    # The last interval is an Euler step in Heun too, and as wide at any N: it bounds the error.
    last_interval = flow_schedule(30).sigmas[-2]
    exact = noise() * math.exp(last_interval - 1) * (1 - last_interval)
    errors = [
        np.abs(solve(decay, noise(), flow_schedule(n), ignore, NO_MEAN_SHIFT) - exact).max()
        for n in (30, 60)
    ]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


def test_heun_beats_euler_at_equal_model_calls() -> None:
    exact = noise() / math.e
    euler = solve_euler(decay, noise(), flow_schedule(39), ignore, NO_MEAN_SHIFT)
    heun = solve_heun(decay, noise(), flow_schedule(20), ignore, NO_MEAN_SHIFT)
    assert np.abs(heun - exact).max() < 0.2 * np.abs(euler - exact).max()


def test_mean_shift_stretches_the_step_around_its_mean() -> None:
    slope = noise(1)

    def constant(latents: Latents, timestep: np.float32, iteration: int) -> Latents:
        return slope

    assert mean_shift_factor(10.0) == pytest.approx(1.0462117157)
    result = solve_euler(constant, noise(), flow_schedule(1), ignore, omega=10.0)
    step = -slope
    expected = noise() + (step - step.mean()) * 1.0462117157 + step.mean()
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_heun_evaluates_twice_a_step_but_once_in_the_last() -> None:
    asked: list[tuple[float, int]] = []

    def record(latents: Latents, timestep: np.float32, iteration: int) -> Latents:
        asked.append((float(timestep), iteration))
        return latents

    schedule = flow_schedule(3)
    solve_heun(record, noise(), schedule, ignore, 10.0)
    first, second, third = (float(t) for t in schedule.timesteps)
    assert asked == [(first, 0), (second, 1), (second, 2), (third, 3), (third, 4)]
    assert len(asked) == SOLVERS["heun"].evaluations(3, Guidance())


def test_pingpong_returns_to_noise_between_steps_and_ends_clean() -> None:
    target = noise(2)

    def towards_target(latents: Latents, timestep: np.float32, iteration: int) -> Latents:
        return (latents - target) / np.float32(timestep / 1000)

    seen: list[Latents] = []
    schedule = flow_schedule(3)
    result = solve_pingpong(
        towards_target, noise(), schedule, lambda i, x: seen.append(x), lambda k: noise(10 + k)
    )
    np.testing.assert_allclose(result, target, atol=1e-5)
    sigma = schedule.sigmas[1]
    np.testing.assert_allclose(seen[0], (1 - sigma) * target + sigma * noise(10), atol=1e-5)


JUMPS = (0.9, 0.5)  # the noise levels where guidance begins and ends
PULL = 1.5


def jumping_error(calls: int, *, naive: bool) -> float:
    """Of adams on dx/dσ = cos(3σ), and PULL·σ more between the jumps; the answer is known.

    naive: the jump is hidden in the conditional part, so that the past is kept across it.
    """
    schedule: Schedule = windowed_schedule(calls, 0.5)

    def parts(
        latents: Latents, timestep: np.float32, iteration: int
    ) -> tuple[Latents, Latents | None]:
        sigma = float(timestep) / 1000.0
        smooth = np.full(SHAPE, math.cos(3.0 * sigma), np.float32)
        if iteration not in (schedule.guided or ()):
            return smooth, None
        pull = np.full(SHAPE, PULL * sigma, np.float32)
        return (smooth + pull, None) if naive else (smooth, pull)

    start = np.zeros(SHAPE, np.float32)
    result = solve_adams(parts, start, schedule, ignore, NO_MEAN_SHIFT)
    exact = -math.sin(3.0) / 3.0 - PULL * (JUMPS[0] ** 2 - JUMPS[1] ** 2) / 2.0
    return float(np.abs(result.mean(dtype=np.float64) - exact))


def test_adams_is_of_second_order_across_the_jumps_of_guidance() -> None:
    errors = [jumping_error(calls, naive=False) for calls in (50, 100, 200, 400)]
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine >= 3.5


def test_a_past_that_is_kept_across_a_jump_spoils_the_order() -> None:
    errors = [jumping_error(calls, naive=True) for calls in (100, 200, 400)]
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine < 2.5
    assert errors[-1] > 5.0 * jumping_error(400, naive=False)


def test_adams_on_a_field_that_depends_on_the_latents() -> None:
    def growth(
        latents: Latents, timestep: np.float32, iteration: int
    ) -> tuple[Latents, Latents | None]:
        return latents, None

    exact = noise() / math.e
    errors = [
        np.abs(solve_adams(growth, noise(), windowed_schedule(n, 0.0), ignore, 0.0) - exact).max()
        for n in (20, 40)
    ]
    assert errors[0] / errors[1] > 3.5
