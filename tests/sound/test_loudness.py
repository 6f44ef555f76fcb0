"""Loudness against the standard's own figures and an independent meter."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
import soxr

from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.loudness import integrated_loudness, true_peak, waveform_peaks


def noise(rate: int, channels: int, seconds: float) -> AudioClip:
    random = np.random.default_rng(7)
    frames = round(rate * seconds)
    swell = np.abs(np.sin(np.arange(frames) / rate))
    samples = 0.1 * swell * random.standard_normal((channels, frames))
    return AudioClip(samples.astype(np.float32), rate)


def test_a_full_scale_sine_in_one_channel_is_minus_3() -> None:
    """EBU Tech 3341: 0 dBFS at 997 Hz in one channel reads -3.01 LUFS."""
    tone = np.sin(2 * np.pi * 997 / 48000 * np.arange(48000 * 5))
    clip = AudioClip(np.stack([tone, 0 * tone]).astype(np.float32), 48000)
    assert integrated_loudness(clip) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(48000, 2, 7.3), (32000, 1, 12.0)])
def test_agrees_with_another_meter(rate: int, channels: int, seconds: float) -> None:
    clip = noise(rate, channels, seconds)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert integrated_loudness(clip) == pytest.approx(
        meter.integrated_loudness(clip.samples.T.astype(np.float64)), abs=0.02
    )


@pytest.mark.parametrize("frames", [0, 100, 48000 * 2])
def test_silence_and_scraps_have_none(frames: int) -> None:
    assert integrated_loudness(AudioClip(np.zeros((2, frames), np.float32), 48000)) is None
    assert integrated_loudness(AudioClip(np.ones((2, min(frames, 100)), np.float32), 48000)) is None


def test_pauses_do_not_count() -> None:
    clip = noise(48000, 2, 5.0)
    paused = AudioClip(np.pad(clip.samples, ((0, 0), (0, 48000 * 20))), 48000)
    loudness = integrated_loudness(clip)
    assert loudness is not None
    assert integrated_loudness(paused) == pytest.approx(loudness, abs=0.3)


def test_waveform_peaks() -> None:
    ramp = np.linspace(0, 2, 64 * 10, dtype=np.float32)
    peaks = waveform_peaks(AudioClip(np.stack([0 * ramp, -ramp]), 48000))
    assert len(peaks) == 64
    assert peaks[0] == pytest.approx(0.028, abs=0.001)
    assert peaks == sorted(peaks)
    assert peaks[-1] == 1.0
    assert waveform_peaks(AudioClip(np.zeros((2, 3), np.float32), 48000)) == [0.0] * 64


def test_a_true_peak_lies_between_the_samples() -> None:
    """A quarter-rate sine whose samples all miss its crest by an eighth of a turn."""
    frames = np.arange(44100)
    swell = np.hanning(44100)
    tone = (0.5 * swell * np.sin(np.pi / 2 * frames + np.pi / 4)).astype(np.float32)
    clip = AudioClip(np.stack([0 * tone, tone]), 44100)
    assert np.abs(tone).max() == pytest.approx(0.3536, abs=1e-3)
    assert true_peak(clip) == pytest.approx(0.5, rel=0.01)


def test_a_true_peak_agrees_with_another_interpolation() -> None:
    clip = noise(44100, 2, 9.0)
    smooth = np.stack([np.convolve(side, np.hanning(9) / 4, "same") for side in clip.samples])
    clip = AudioClip(smooth.astype(np.float32), 44100)
    finer = soxr.resample(clip.samples.T, 44100, 176400, quality="VHQ")
    assert true_peak(clip) == pytest.approx(float(np.abs(finer).max()), rel=0.01)


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_scraps_have_a_true_peak_too(frames: int) -> None:
    assert true_peak(AudioClip(np.zeros((2, frames), np.float32), 44100)) == 0.0
