"""Sound to the log-mel spectrogram that the autoencoder reads.

The parameters are the original's (ace-step/ACE-Step d612523, `music_dcae/music_log_mel.py`, lines
15 to 115, and `music_vocoder.py`, lines 511 to 555): 44.1 kHz, a Hann window of 2048 samples every
512, the sound continued by its mirror image at both ends, √(|X|² + 10⁻⁶), 128 bands of equal area
from 40 Hz to 16 kHz on Slaney's scale, the natural logarithm of at least 10⁻⁵.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound.clip import Samples

SAMPLE_RATE = 44100
WINDOW = 2048
HOP = 512
BANDS = 128
LOWEST_HZ, HIGHEST_HZ = 40.0, 16000.0
POWER_FLOOR = 1e-6
MAGNITUDE_FLOOR = 1e-5
BLOCK_FRAMES = 512

# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, 27 steps for every factor of 6.4
# above.
LINEAR_HZ = 200.0 / 3.0
KNEE_HZ = 1000.0
STEP = math.log(6.4) / 27.0

LogMel = NDArray[np.float32]


def log_mel(samples: Samples) -> LogMel:
    """float32 [channels, 512 · M] at 44.1 kHz to float32 [channels, 128, M]; M at least 2."""
    side = (WINDOW - HOP) // 2
    frames = samples.shape[1] // HOP
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    weights = band_weights()
    mel = np.empty((samples.shape[0], BANDS, frames), dtype=np.float32)
    for begin in range(0, frames, BLOCK_FRAMES):
        end = min(begin + BLOCK_FRAMES, frames)
        part = _mirrored(samples, begin * HOP - side, end * HOP + side)
        views = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, ::HOP]
        spectrum = np.fft.rfft(views * window)
        magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + POWER_FLOOR)
        bands = np.maximum(magnitude @ weights, MAGNITUDE_FLOOR)
        mel[:, :, begin:end] = np.log(bands).transpose(0, 2, 1)
    return mel


def _mirrored(samples: Samples, start: int, stop: int) -> NDArray[np.float64]:
    """The samples from start to stop; beyond an end they go back as they came, without it twice."""
    last = samples.shape[1] - 1
    position = np.abs(np.arange(start, stop))
    return samples[:, last - np.abs(last - position)].astype(np.float64)


@lru_cache(maxsize=1)
def band_weights() -> NDArray[np.float64]:
    """float64 [1025, 128]: triangles over the bins, each of them of an area of one hertz."""
    bins = np.linspace(0.0, SAMPLE_RATE / 2.0, WINDOW // 2 + 1)
    corners = _hertz(np.linspace(_slaney(LOWEST_HZ), _slaney(HIGHEST_HZ), BANDS + 2))
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins[:, None] - low) / (middle - low)
    falling = (high - bins[:, None]) / (high - middle)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)


def _slaney(hertz: float) -> float:
    if hertz < KNEE_HZ:
        return hertz / LINEAR_HZ
    return KNEE_HZ / LINEAR_HZ + math.log(hertz / KNEE_HZ) / STEP


def _hertz(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = KNEE_HZ / LINEAR_HZ
    return np.where(
        steps < knee, steps * LINEAR_HZ, KNEE_HZ * np.exp(STEP * np.maximum(steps - knee, 0.0))
    )
