"""The delay pattern, with grids written out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.backends.musicgen.delay_pattern import codebook_delays, delayed, undelayed

P = 99


def test_each_codebook_runs_one_step_behind_the_one_before() -> None:
    assert codebook_delays(4, 1) == [0, 1, 2, 3]


def test_both_channels_of_a_stereo_codebook_run_together() -> None:
    assert codebook_delays(8, 2) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_grid_with_nothing_known() -> None:
    grid = delayed(np.zeros((3, 0), dtype=np.int64), 2, [0, 1, 2], P)
    assert grid.tolist() == [[P, -1, -1, P, P], [P, P, -1, -1, P], [P, P, P, -1, -1]]


def test_a_grid_whose_first_frames_are_known() -> None:
    grid = delayed(np.array([[1, 2], [3, 4]]), 3, [0, 1], P)
    assert grid.tolist() == [[P, 1, 2, -1, P], [P, P, 3, 4, -1]]


@given(
    frames=st.integers(1, 40),
    channels=st.sampled_from([1, 2]),
    codebooks=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_undelayed_takes_back_what_delayed_did(
    frames: int, channels: int, codebooks: int, seed: int
) -> None:
    codes = np.random.default_rng(seed).integers(P, size=(codebooks * channels, frames))
    delays = codebook_delays(codebooks * channels, channels)
    grid = delayed(codes, frames, delays, P)
    assert grid.shape[1] == frames + codebooks
    assert (grid[:, 0] == P).all()
    np.testing.assert_array_equal(undelayed(grid, 0, frames, delays), codes)
    start = frames // 2
    np.testing.assert_array_equal(undelayed(grid, start, frames, delays), codes[:, start:])
