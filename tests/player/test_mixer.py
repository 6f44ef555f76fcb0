"""The mixer's functions, against numbers on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.player.gain import track_gain
from lofi_daemon.player.mixer import (
    Ramp,
    crossfade_frames,
    equal_power_gains,
    equal_power_retarget,
    mix,
    smooth_gains,
    smooth_retarget,
    steady,
)


@given(length=st.integers(1, 5000), done=st.integers(0, 5000), frames=st.integers(1, 3000))
def test_the_powers_of_a_crossfade_add_up_to_one(length: int, done: int, frames: int) -> None:
    coming = equal_power_gains(Ramp(0.0, 1.0, length, min(done, length)), frames)
    going = equal_power_gains(Ramp(1.0, 0.0, length, min(done, length)), frames)
    np.testing.assert_allclose(coming**2 + going**2, 1.0, atol=1e-6)


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_a_ramp_does_not_depend_on_how_it_is_cut_into_blocks(cuts: list[int]) -> None:
    ramp = Ramp(0.2, 0.9, 661)
    whole = smooth_gains(ramp, sum(cuts))
    pieces = []
    for frames in cuts:
        pieces.append(smooth_gains(ramp, frames))
        ramp = ramp.advanced(frames)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_a_smooth_ramp_is_half_a_cosine() -> None:
    gains = smooth_gains(Ramp(1.0, 0.5, 4), 6)
    expected = [1.0, 1 - 0.5 * (0.5 - 0.5 * np.cos(np.pi / 4)), 0.75, 0.5732233, 0.5, 0.5]
    np.testing.assert_allclose(gains, expected, rtol=1e-6)


def test_an_equal_power_fade_is_a_quarter_of_a_sine() -> None:
    gains = equal_power_gains(Ramp(0.0, 1.0, 3), 4)
    np.testing.assert_allclose(gains, [0.0, 0.5, np.sqrt(3) / 2, 1.0], atol=1e-7)


def test_a_ramp_that_changes_its_mind_goes_on_from_where_it_is() -> None:
    halfway = Ramp(0.0, 1.0, 100).advanced(50)
    assert smooth_retarget(halfway, 0.0, 10).start == pytest.approx(0.5)
    fading = equal_power_retarget(Ramp(1.0, 0.0, 100).advanced(25), 0.0, 10)
    assert equal_power_gains(fading, 1)[0] == pytest.approx(np.sin(0.75 * np.pi / 2))


def test_a_steady_ramp_is_exactly_its_value() -> None:
    assert (smooth_gains(steady(1.0), 100) == 1.0).all()
    assert (equal_power_gains(steady(1.0), 100) == 1.0).all()


def test_a_crossfade_takes_at_most_a_quarter_of_a_track() -> None:
    assert crossfade_frames(2.0, 100, 10_000, 10_000) == 200
    assert crossfade_frames(2.0, 100, 10_000, 400) == 100
    assert crossfade_frames(12.0, 100, 400, 800) == 100
    assert crossfade_frames(0.0, 100, 400, 800) == 0


def test_blocks_add_up_each_by_its_own_gains_and_short_ones_end_in_silence() -> None:
    first = np.ones((3, 2), np.float32)
    second = np.full((2, 2), 2.0, np.float32)
    mixed = mix([first, second], [np.float32([1, 0.5, 0]), np.float32([0.5, 1, 9])], 4)
    np.testing.assert_array_equal(mixed[:, 0], np.float32([2.0, 2.5, 0.0, 0.0]))


def test_a_quiet_track_is_lifted_and_a_loud_one_lowered_to_the_target() -> None:
    assert track_gain(-22.0, 0.1) == pytest.approx(10 ** (6 / 20))
    assert track_gain(-10.0, 1.0) == pytest.approx(10 ** (-6 / 20))


def test_no_gain_lifts_a_true_peak_over_the_ceiling() -> None:
    assert track_gain(-30.0, 0.5) * 0.5 == pytest.approx(10 ** (-1 / 20))


@pytest.mark.parametrize("loudness", [None, -math.inf, math.inf, math.nan, -99999.0, 1e300, 99.0])
def test_a_track_of_unknown_loudness_is_left_alone(loudness: float | None) -> None:
    assert track_gain(loudness, 0.5) == 1.0
