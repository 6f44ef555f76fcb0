"""What is done to whole clips."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.sound.clip import (
    fade_in,
    fade_out,
    join_to_length,
    normalise_peak,
    resample_stream,
)


def sine(frequency: float, seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([np.sin(2 * np.pi * frequency * time)] * 2).astype(np.float32)


@pytest.mark.parametrize("piece", [1000, 44100, 10**6])
def test_resampling_in_pieces_is_resampling_in_one(piece: int) -> None:
    sound = sine(441.0, 2.0, 44100)
    pieces = [sound[:, start : start + piece] for start in range(0, sound.shape[1], piece)]
    resampled = np.concatenate(list(resample_stream(pieces, 44100, 48000)), axis=1)
    assert resampled.shape == (2, 96000)
    middle = slice(4800, 91200)
    np.testing.assert_allclose(resampled[:, middle], sine(441.0, 2.0, 48000)[:, middle], atol=1e-4)


def test_a_right_rate_is_left_alone() -> None:
    pieces = [sine(100.0, 0.1, 48000)]
    assert next(resample_stream(pieces, 48000, 48000)) is pieces[0]


def test_joining_cuts_and_fills() -> None:
    pieces = [np.full((2, 3), 1, np.float32), np.full((2, 3), 2, np.float32)]
    np.testing.assert_array_equal(join_to_length(pieces, 2, 4)[0], [1, 1, 1, 2])
    np.testing.assert_array_equal(join_to_length(pieces, 2, 8)[1], [1, 1, 1, 2, 2, 2, 0, 0])


def test_the_fade_touches_only_the_end_and_ends_in_silence() -> None:
    samples = np.ones((2, 100), np.float32)
    fade_out(samples, 10)
    assert (samples[:, :91] == 1).all()
    assert (np.diff(samples[0, 90:]) < 0).all()
    assert samples[0, -1] == 0.0


def test_the_fade_in_touches_only_the_start_and_begins_in_silence() -> None:
    samples = np.ones((2, 100), np.float32)
    fade_in(samples, 10)
    assert samples[0, 0] == 0.0
    assert (np.diff(samples[0, :10]) > 0).all()
    assert (samples[:, 10:] == 1).all()


def test_peak_normalisation_scales_the_whole_and_leaves_silence() -> None:
    samples = np.array([[0.1, -0.4], [0.2, 0.0]], np.float32)
    normalise_peak(samples, 0.8)
    np.testing.assert_allclose(samples, [[0.2, -0.8], [0.4, 0.0]], rtol=1e-6)
    silence = np.zeros((2, 4), np.float32)
    normalise_peak(silence, 0.8)
    assert not silence.any()
