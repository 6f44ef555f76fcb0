"""The finish: rumble gone, loudness met, no sample above the ceiling, no jump in the gain."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.kit.manifest import Mastering
from lofi_daemon.backends.kit.mastering import SEGMENT_FRAMES, high_pass, limit, master
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.loudness import integrated_loudness

RATE = 48000


def music(seconds: float, peak: float) -> np.ndarray:
    """Noise that swells, with a drum hit of full height every half second."""
    random = np.random.default_rng(3)
    frames = round(seconds * RATE)
    swell = 0.2 + 0.1 * np.sin(np.arange(frames) / RATE)
    sound = 0.3 * swell * random.standard_normal((2, frames))
    for hit in range(RATE // 4, frames, RATE // 2):
        length = min(2000, frames - hit)
        sound[:, hit : hit + length] += np.exp(-np.arange(length) / 300.0)
    return (sound * (peak / np.abs(sound).max())).astype(np.float32)


def test_high_pass_is_the_textbook_filter_across_segments() -> None:
    """A step's response, with and without a segment border in it, by the plain recursion."""
    k = np.tan(np.pi * 25 / RATE)
    norm = 1 + np.sqrt(2) * k + k * k
    a1, a2 = 2 * (k * k - 1) / norm, (1 - np.sqrt(2) * k + k * k) / norm
    frames = SEGMENT_FRAMES + 5000
    step = np.zeros((2, frames), np.float32)
    step[:, SEGMENT_FRAMES - 3000 :] = 0.5
    expected = np.zeros(frames)
    x1 = x2 = y1 = y2 = 0.0
    for n, x in enumerate(step[0].astype(float)):
        y = (x - 2 * x1 + x2) / norm - a1 * y1 - a2 * y2
        x1, x2, y1, y2 = x, x1, y, y1
        expected[n] = y
    high_pass(step, RATE, 25.0)
    assert np.abs(step - expected).max() < 1e-6


@pytest.mark.parametrize("peak", [0.05, 0.9, 4.0])
def test_loudness_and_ceiling_are_met(peak: float) -> None:
    samples = music(6.0, peak)
    master(samples, RATE, Mastering())
    assert np.abs(samples).max() <= 10 ** (-1 / 20) + 1e-7
    assert integrated_loudness(AudioClip(samples, RATE)) == pytest.approx(-16.0, abs=1.0)


def test_limiting_turns_the_gain_without_a_jump() -> None:
    before = music(3.0, 3.0)
    after = before.copy()
    limit(after, RATE, 0.5)
    assert np.abs(after).max() <= 0.5
    loud = np.abs(before) > 0.02
    gain = after[0][loud[0]] / before[0][loud[0]]
    places = np.flatnonzero(loud[0])
    slope = np.abs(np.diff(gain)) / np.diff(places)
    assert slope.max() < 1.0 / (0.005 * RATE)  # never faster than all the way in the look-ahead


def test_what_is_low_enough_is_left_alone() -> None:
    before = music(1.0, 0.5)
    after = before.copy()
    limit(after, RATE, 0.5)
    assert (after == before).all()


@pytest.mark.parametrize("frames", [0, 1, 47, 100, SEGMENT_FRAMES, SEGMENT_FRAMES + 1])
def test_any_length(frames: int) -> None:
    samples = np.full((2, frames), 2.0, np.float32)
    limit(samples, RATE, 0.5)
    assert np.abs(samples).max(initial=0.0) <= 0.5
    silence = np.zeros((2, frames), np.float32)
    master(silence, RATE, Mastering())
    assert not silence.any()
