"""The noise levels, against numbers worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.kit.mel_diffusion.schedule import (
    flow_schedule,
    shift,
    stretches,
    windowed_schedule,
)


def test_shift_is_three_sigma_over_one_plus_two_sigma() -> None:
    assert shift(0.5) == pytest.approx(0.75)
    assert shift(1.0) == 1.0
    assert shift(0.001) == pytest.approx(0.003 / 1.002)


def test_schedule_runs_from_one_to_the_twice_shifted_minimum_and_then_zero() -> None:
    schedule = flow_schedule(4)
    middle = [1.0 + (0.003 / 1.002 - 1.0) * k / 3 for k in range(4)]
    expected = [3 * s / (1 + 2 * s) for s in middle]
    np.testing.assert_allclose(schedule.sigmas, [*expected, 0.0], rtol=1e-6)
    assert schedule.sigmas[-2] == pytest.approx(0.00892857, rel=1e-5)
    assert schedule.sigmas.dtype == schedule.timesteps.dtype == np.float32


def test_timesteps_are_a_thousand_sigmas_in_single_precision() -> None:
    schedule = flow_schedule(27)
    np.testing.assert_array_equal(schedule.timesteps, schedule.sigmas[:-1] * np.float32(1000))
    assert schedule.timesteps[0] == 1000.0


def test_a_single_step_goes_straight_to_zero() -> None:
    np.testing.assert_array_equal(flow_schedule(1).sigmas, [1.0, 0.0])


@pytest.mark.parametrize("calls", [*range(4, 40), 60, 200])
def test_nodes_lie_on_the_borders_of_the_guided_part(calls: int) -> None:
    schedule, shares = windowed_schedule(calls, 0.5), stretches(calls, 0.5)
    assert shares.calls == calls
    assert min(shares.before, shares.inside, shares.after) >= 1
    assert schedule.guided == shares.guided
    first, last = schedule.guided.start, schedule.guided.stop
    np.testing.assert_allclose(schedule.sigmas[[0, first, last, -1]], [1, 0.9, 0.5, 0], rtol=1e-6)
    assert (np.diff(schedule.sigmas) < 0).all()
    assert schedule.sigmas.dtype == schedule.timesteps.dtype == np.float32


def test_the_shares_of_the_default() -> None:
    shares = stretches(25, 0.5)
    assert (shares.before, shares.inside, shares.after) == (3, 8, 6)


@pytest.mark.parametrize("calls", [1, 2, 3, 16, 25])
def test_all_or_nothing_is_guided(calls: int) -> None:
    whole = windowed_schedule(calls, 1.0)
    assert whole.guided == range(max(1, calls // 2))
    assert whole.steps == max(1, calls // 2)
    plain = windowed_schedule(calls, 0.0)
    assert (plain.steps, plain.guided) == (calls, range(0, 0))
    assert plain.sigmas[0] == whole.sigmas[0] == 1.0
    assert plain.sigmas[-1] == whole.sigmas[-1] == 0.0
