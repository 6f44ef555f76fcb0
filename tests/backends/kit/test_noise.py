"""The noise of a seed, and on the way to that of another."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.kit.noise import gaussian_noise, starting_noise

SHAPE = (1, 4000)


def test_a_variation_of_nothing_is_the_seeds_own_noise_and_of_all_the_others() -> None:
    own, other = gaussian_noise(1, 0, SHAPE), gaussian_noise(2, 0, SHAPE)
    np.testing.assert_array_equal(starting_noise(1, SHAPE, 0.0, 2), own)
    np.testing.assert_allclose(starting_noise(1, SHAPE, 1.0, 2), other, atol=1e-6)


@pytest.mark.parametrize("variation", [0.1, 0.5, 0.9])
def test_on_the_way_it_is_as_loud_as_either(variation: float) -> None:
    mixed = starting_noise(1, SHAPE, variation, 2)
    assert float(mixed.std()) == pytest.approx(1.0, abs=0.05)
    likeness = float(np.corrcoef(mixed.ravel(), gaussian_noise(1, 0, SHAPE).ravel())[0, 1])
    assert likeness == pytest.approx(np.cos(variation * np.pi / 2), abs=0.05)
