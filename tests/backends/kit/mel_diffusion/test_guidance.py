"""Guidance on numbers worked out on paper, and when it acts."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.kit.mel_diffusion.guidance import (
    Guidance,
    adaptive_projected,
    cfg_zero_star,
    classifier_free,
    guided,
    guided_parts,
    steady_projected,
)
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents


def plane(*values: float) -> Latents:
    return np.array(values, dtype=np.float32).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, []), (2, [0]), (3, [0, 1]), (4, [1, 2]), (10, [2, 3, 4, 5, 6]), (60, [*range(15, 45)])],
)
def test_the_middle_half_of_the_steps_is_guided(steps: int, expected: list[int]) -> None:
    assert list(Guidance().guided_iterations(steps)) == expected


def test_interval_one_guides_everything_and_scale_one_nothing() -> None:
    assert list(Guidance(interval=1.0).guided_iterations(5)) == [0, 1, 2, 3, 4]
    assert not Guidance(scale=1.0).guided_iterations(60)
    assert not Guidance(scale=0.0).guided_iterations(60)


@pytest.mark.parametrize(
    ("scheduler", "steps", "calls"),
    [
        ("euler", 60, 90),
        ("heun", 60, 149),
        ("pingpong", 60, 90),
        ("euler", 27, 41),
        ("heun", 10, 24),
        *[("adams", calls, calls) for calls in (1, 4, 12, 16, 20, 25, 60, 200)],
    ],
)
def test_model_calls_of_a_run(scheduler: str, steps: int, calls: int) -> None:
    assert SOLVERS[scheduler].calls_after(steps, Guidance())[-1] == calls


def test_decay_falls_to_the_minimum_over_the_window() -> None:
    guidance = Guidance(scale=15.0, decay=1.0, minimum_scale=3.0)
    window = guidance.guided_iterations(10)
    assert [guidance.scale_at(i, window) for i in window] == [15.0, 12.0, 9.0, 6.0, 3.0]
    lone = guidance.guided_iterations(2)
    assert guidance.scale_at(0, lone) == 15.0


def test_classifier_free_guidance() -> None:
    np.testing.assert_allclose(
        classifier_free(plane(1, 2), plane(0, 1), 15.0), plane(15, 16), rtol=1e-6
    )


def test_cfg_zero_star_scales_the_unconditional_to_its_projection() -> None:
    # ⟨c, u⟩ / ‖u‖² = 4 / 4 = 1 … and with u doubled, 0.5: the same result
    for unconditional in (plane(2, 0), plane(4, 0)):
        result = cfg_zero_star(plane(2, 1), unconditional, 3.0)
        np.testing.assert_allclose(result, plane(2, 3), rtol=1e-5)


def test_apg_drops_the_parallel_part_and_limits_the_norm() -> None:
    conditional, unconditional = plane(1, 0), plane(0, -1)
    result, momentum = adaptive_projected(conditional, unconditional, 3.0, None)
    np.testing.assert_allclose(momentum, plane(1, 1))
    np.testing.assert_allclose(result, plane(1, 2), rtol=1e-6)
    far, _ = adaptive_projected(conditional, plane(1, -100), 3.0, None)
    np.testing.assert_allclose(far, plane(1, 5.0), rtol=1e-6)


def test_apg_momentum_is_negative_and_keeps_the_unlimited_sum() -> None:
    _, first = adaptive_projected(plane(1, 0), plane(1, -100), 3.0, None)
    np.testing.assert_allclose(first, plane(0, 100))
    _, second = adaptive_projected(plane(1, 0), plane(1, -100), 3.0, first)
    np.testing.assert_allclose(second, plane(0, 25))


def test_cfg_star_is_zero_in_the_first_two_iterations_only() -> None:
    def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
        return plane(2, 1), plane(2, 0)

    velocity = guided(
        lambda latents, timestep: plane(7, 7), both, Guidance(3.0, "cfg_star", interval=1.0), 4
    )
    outputs = [velocity(plane(0, 0), np.float32(1000), i) for i in range(4)]
    np.testing.assert_array_equal(outputs[0], plane(0, 0))
    np.testing.assert_array_equal(outputs[1], plane(0, 0))
    np.testing.assert_allclose(outputs[2], plane(2, 3), rtol=1e-5)


def test_outside_the_window_only_the_conditional_model_is_called() -> None:
    paired: list[int] = []

    def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
        paired.append(1)
        return plane(1, 1), plane(0, 0)

    velocity = guided(lambda latents, timestep: plane(7, 7), both, Guidance(cfg_type="cfg"), 4)
    np.testing.assert_array_equal(velocity(plane(0, 0), np.float32(1000), 0), plane(7, 7))
    assert not paired
    np.testing.assert_allclose(velocity(plane(0, 0), np.float32(800), 1), plane(15, 15))
    assert len(paired) == 1


def test_the_steady_form_of_apg_is_what_its_memory_settles_at() -> None:
    conditional, unconditional = plane(1, 0.5), plane(0, 0.2)
    momentum = None
    for _ in range(60):
        settled, momentum = adaptive_projected(conditional, unconditional, 3.0, momentum)
    steady = conditional + steady_projected(conditional, unconditional, 3.0)
    np.testing.assert_allclose(steady, settled, rtol=1e-5)


@pytest.mark.parametrize("kind", ["apg", "cfg", "cfg_star"])
def test_the_two_parts_of_a_guided_velocity_are_the_whole(kind: str) -> None:
    def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
        return plane(2, 1), plane(1, -3)

    parts = guided_parts(
        lambda latents, timestep: plane(7, 7), both, Guidance(3.0, kind), range(1, 3)
    )
    assert parts(plane(0, 0), np.float32(1000), 0)[1] is None
    conditional, added = parts(plane(0, 0), np.float32(900), 1)
    assert added is not None
    expected = {
        "apg": plane(2, 1) + steady_projected(plane(2, 1), plane(1, -3), 3.0),
        "cfg": classifier_free(plane(2, 1), plane(1, -3), 3.0),
        "cfg_star": cfg_zero_star(plane(2, 1), plane(1, -3), 3.0),
    }[kind]
    np.testing.assert_allclose(conditional + added, expected, rtol=1e-6)
