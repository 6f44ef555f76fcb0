"""New music in the sound that it goes on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lofi_daemon.backends.kit.finish import finished_like
from lofi_daemon.backends.kit.manifest import Mastering
from lofi_daemon.backends.kit.splice import Splice, put_in, source_level

RATE = 48000


def noise(seconds: float, seed: int = 1, level: float = 0.1) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return np.float32(level) * generator.standard_normal((2, round(seconds * RATE)), np.float32)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, NDArray[np.float32]]:
    path, sound = tmp_path / "source.wav", np.clip(noise(3.0), -1, 1)
    soundfile.write(path, sound.T, RATE, subtype="FLOAT")
    return path, sound


def test_outside_the_window_it_is_the_source_and_inside_the_new_music(
    source: tuple[Path, NDArray[np.float32]],
) -> None:
    path, sound = source
    new = noise(3.0, seed=2)
    samples = new.copy()
    splice = Splice(path, offset=0, start=RATE, stop=2 * RATE, ramp=100)
    put_in(samples, RATE, splice)
    assert np.array_equal(samples[:, : RATE - 100], sound[:, : RATE - 100])
    assert np.array_equal(samples[:, 2 * RATE + 100 :], sound[:, 2 * RATE + 100 :])
    assert np.array_equal(samples[:, RATE : 2 * RATE], new[:, RATE : 2 * RATE])


def test_the_ramp_is_straight_and_has_no_end_points() -> None:
    splice = Splice(Path("x"), offset=0, start=10, stop=20, ramp=3)
    share = splice.share(5, 20)
    assert share[:6] == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0])
    assert share[14:20] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1][0:6])


@pytest.mark.parametrize("offset", [-700, 0, 70_000])
def test_a_source_may_begin_later_or_earlier_than_the_track(
    source: tuple[Path, NDArray[np.float32]], offset: int
) -> None:
    path, sound = source
    samples = noise(2.0, seed=2)
    put_in(samples, RATE, Splice(path, offset, start=0, stop=1000, ramp=0))
    first = max(1000, offset)
    expected = sound[:, first - offset : samples.shape[1] - offset]
    assert np.array_equal(samples[:, first : first + expected.shape[1]], expected)


def test_one_channel_of_another_rate_fits(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    wave = 0.3 * np.sin(2 * np.pi * 300 / 24000 * np.arange(48000))
    soundfile.write(path, wave, 24000, subtype="FLOAT")
    samples = np.zeros((2, 2 * RATE), np.float32)
    put_in(samples, RATE, Splice(path, 0, start=0, stop=0, ramp=0))
    expected = 0.3 * np.sin(2 * np.pi * 300 / RATE * np.arange(2 * RATE))
    assert np.abs(samples[:, 1000:-1000] - expected[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("gain", [0.25, 3.0])
def test_the_new_music_gets_the_level_of_its_source(
    source: tuple[Path, NDArray[np.float32]], gain: float
) -> None:
    path, sound = source
    raw = np.concatenate((sound[:, : 2 * RATE] / gain, noise(1.0, seed=3) / gain), axis=1)
    splice = Splice(path, 0, start=2 * RATE, stop=3 * RATE, ramp=100)
    assert source_level(raw, RATE, splice) == pytest.approx(gain, rel=1e-4)
    clip = finished_like(raw.copy(), RATE, splice, Mastering(high_pass_hz=1.0))
    level = np.sqrt(np.mean(clip.samples[:, 2 * RATE : 2 * RATE + RATE // 2] ** 2))
    assert level == pytest.approx(0.1, rel=0.02)
    assert np.abs(clip.samples[:, -1]).max() < 1e-3  # its end is new, and fades


def test_of_silence_no_level_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros((RATE, 2)), RATE)
    samples = noise(1.0)
    splice = Splice(path, 0, start=0, stop=RATE // 2, ramp=0)
    assert source_level(samples, RATE, splice) is None
    clip = finished_like(samples, RATE, splice)
    assert 0.5 < np.abs(clip.samples[:, : RATE // 2]).max() < 0.8901
    assert not clip.samples[:, RATE // 2 :].any()
