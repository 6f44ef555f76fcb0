"""The hybrid spectrum: 128 bands that keep semitones apart below 1 kHz and transients above.

Bands are evenly spaced on a warped axis (linear below 250 Hz, logarithmic above, 30 Hz to 14 kHz),
triangular, and each is an average magnitude. Bands centred below 1 kHz read an STFT with a window
of 4096 samples, the others one of 2048, both with a hop of 512. Magnitudes are scaled so that a
full-scale sine is about 1; values are natural logarithms, floored.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

SAMPLE_RATE = 44100
HOP = 512
BANDS = 128
LONG_WINDOW, SHORT_WINDOW = 4096, 2048
CROSSOVER_HZ = 1000.0
LOWEST_HZ, HIGHEST_HZ = 30.0, 14000.0
FLOOR = 1e-4


def _warp(frequency: np.ndarray) -> np.ndarray:
    return np.where(frequency < 250, frequency / 250, 1 + np.log(np.maximum(frequency, 250) / 250))


@cache
def band_edges() -> np.ndarray:
    """The 130 band edges in Hz."""
    low, high = _warp(np.array([LOWEST_HZ, HIGHEST_HZ]))
    warped = np.linspace(low, high, BANDS + 2)
    return np.where(warped < 1, warped * 250, 250 * np.exp(warped - 1))


@cache
def band_matrix(window: int) -> np.ndarray:
    """Band averages over the bins of an STFT: float64 [128, window // 2 + 1], rows sum to 1."""
    bins = np.arange(window // 2 + 1) * SAMPLE_RATE / window
    edges = band_edges()
    matrix = np.zeros((BANDS, len(bins)))
    for band in range(BANDS):
        low, centre, high = edges[band : band + 3]
        weights = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
        weights = np.maximum(weights, 0)
        if weights.sum() == 0:
            weights[np.argmin(abs(bins - centre))] = 1
        matrix[band] = weights / weights.sum()
    return matrix


@cache
def long_bands() -> int:
    """How many of the lowest bands read the long window."""
    return int(np.sum(band_edges()[1:-1] < CROSSOVER_HZ))


@cache
def _filters() -> tuple[torch.Tensor, torch.Tensor]:
    count = long_bands()
    return (
        torch.tensor(band_matrix(LONG_WINDOW)[:count], dtype=torch.float32),
        torch.tensor(band_matrix(SHORT_WINDOW)[count:], dtype=torch.float32),
    )


def magnitudes(audio: torch.Tensor, window: int) -> torch.Tensor:
    """Magnitudes [channels, bins, frames] of [channels, samples]; frame m is centred at 512 m."""
    spectrum = torch.stft(audio, window, HOP, window=torch.hann_window(window), return_complex=True)
    return spectrum.abs() * (4 / window)


def log_spectrum(audio: torch.Tensor) -> torch.Tensor:
    """Hybrid log spectrum of [channels, samples]: [channels, 128, samples // 512]."""
    frames = audio.shape[-1] // HOP
    low, high = _filters()
    bands = torch.cat(
        [low @ magnitudes(audio, LONG_WINDOW), high @ magnitudes(audio, SHORT_WINDOW)], dim=1
    )
    return torch.log(bands.clamp_min(FLOOR))[..., :frames]
