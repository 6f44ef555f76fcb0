"""The finish of a bundle whose raw output needs one: high-pass, loudness, limiter.

Declared in the bundle's manifest; works in place on float32 [channels, frames].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.audio import Samples
from lofi_daemon.backends.ace_step.bundle import Mastering

LOOKAHEAD_SEC = 0.005
RELEASE_SEC = 0.12
LOUDEST_RISE_DB = 24.0


def master(samples: Samples, sample_rate: int, mastering: Mastering) -> None:
    """In place: rumble and DC removed, integrated loudness set, peaks held below the ceiling."""
    high_pass(samples, sample_rate, mastering.high_pass_hz)
    ceiling = 10.0 ** (mastering.true_peak_db / 20.0)
    # A limiter takes loudness away again; a second round gives back most of it.
    for _ in range(2):
        samples *= loudness_gain(samples, sample_rate, mastering.loudness_lufs)
        limit(samples, sample_rate, ceiling)


def high_pass(samples: Samples, sample_rate: int, cutoff_hz: float) -> None:
    """In place: second-order Butterworth high-pass."""
    from scipy.signal import butter, sosfilt

    sections = butter(2, cutoff_hz, "highpass", fs=sample_rate, output="sos")
    for channel in samples:
        channel[:] = sosfilt(sections, channel)


def loudness_gain(samples: Samples, sample_rate: int, target_lufs: float) -> np.float32:
    """The factor to `target_lufs` (ITU-R BS.1770 integrated); 1 for silence or under 0.4 s."""
    import pyloudnorm

    if samples.shape[1] < 0.4 * sample_rate + 1:
        return np.float32(1.0)
    loudness = pyloudnorm.Meter(sample_rate).integrated_loudness(samples.T)
    if not np.isfinite(loudness):
        return np.float32(1.0)
    return np.float32(10.0 ** (min(target_lufs - loudness, LOUDEST_RISE_DB) / 20.0))


def limit(samples: Samples, sample_rate: int, ceiling: float) -> None:
    """In place: look-ahead peak limiter over all channels together.

    The gain falls smoothly within the look-ahead before a peak and recovers within the release.
    No sample exceeds `ceiling` afterwards.
    """
    peaks = np.abs(samples).max(axis=0)
    if float(peaks.max(initial=0.0)) <= ceiling:
        return
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    lookahead = max(1, round(LOOKAHEAD_SEC * sample_rate))
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    held = minimum_filter1d(needed, 2 * lookahead + 1, mode="nearest")
    gain = uniform_filter1d(_released(held, sample_rate), 2 * lookahead + 1, mode="nearest")
    samples *= np.minimum(gain, needed).astype(np.float32)


def _released(gain: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """The gain reduction recovering exponentially: never above `gain`, in blocks of 1 ms."""
    block = max(1, round(0.001 * sample_rate))
    blocks = -(-gain.size // block)
    padded = np.pad(gain, (0, blocks * block - gain.size), constant_values=1.0)
    lowest = padded.reshape(blocks, block).min(axis=1)
    recovery = float(np.exp(-0.001 / RELEASE_SEC))
    reduction = 0.0
    smooth = np.empty(blocks)
    for index, value in enumerate(1.0 - lowest):
        reduction = max(float(value), reduction * recovery)
        smooth[index] = 1.0 - reduction
    return np.minimum(gain, np.repeat(smooth, block)[: gain.size])
