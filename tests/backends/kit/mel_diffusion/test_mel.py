"""The log-mel spectrogram against the same written with PyTorch and transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from lofi_daemon.backends.kit.mel_diffusion.mel import band_weights, log_mel

FRAMES = 700
"""More than are computed at once."""


def sound(frames: int) -> np.ndarray:
    """Noise that comes and goes, with a low tone under it: bands from silence to full scale."""
    generator = np.random.default_rng(5)
    time = np.arange(512 * frames) / 44100
    noise = generator.standard_normal((2, time.size)) * np.sin(1.7 * time) ** 4
    return (0.2 * noise + 0.3 * np.sin(2 * np.pi * 110 * time)).astype(np.float32)


def reference(samples: np.ndarray) -> np.ndarray:
    """In double precision: in single, a quiet band beside a loud one is off by some percent."""
    sound = torch.from_numpy(samples.astype(np.float64))
    padded = torch.nn.functional.pad(sound[None], (768, 768), mode="reflect")[0]
    window = torch.hann_window(2048, dtype=torch.float64)
    spectrum = torch.stft(padded, 2048, 512, window=window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).pow(2).sum(-1) + 1e-6)
    bank = mel_filter_bank(1025, 128, 40.0, 16000.0, 44100, norm="slaney", mel_scale="slaney")
    bands = torch.from_numpy(bank).T @ magnitude
    return torch.log(torch.clamp(bands, min=1e-5)).numpy()


def test_bands_are_slaneys() -> None:
    bank = mel_filter_bank(1025, 128, 40.0, 16000.0, 44100, norm="slaney", mel_scale="slaney")
    assert band_weights() == pytest.approx(bank, abs=1e-9)


@pytest.mark.parametrize("frames", [8, FRAMES])
def test_a_sound_is_the_same_picture(frames: int) -> None:
    samples = sound(frames)
    found, expected = log_mel(samples), reference(samples)
    assert found.shape == (2, 128, frames)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5


def test_silence_is_the_floor() -> None:
    assert log_mel(np.zeros((2, 4096), np.float32)) == pytest.approx(
        reference(np.zeros((2, 4096), np.float32)), abs=1e-5
    )
