"""The finish of a bundle whose raw output needs one: high-pass, loudness, limiter.

Declared in the bundle's manifest; works in place on float32 [channels, frames].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.manifest import Mastering
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import AudioClip, Samples, scale
from lofi_daemon.sound.filters import filter_in_segments, high_pass_response
from lofi_daemon.sound.loudness import integrated_loudness

LOOKAHEAD_SEC = 0.005
RELEASE_SEC = 0.12
BLOCK_SEC = 0.001
SEGMENT_FRAMES = 96_000
LOUDEST_RISE_DB = 24.0


def master(samples: Samples, sample_rate: int, mastering: Mastering) -> None:
    """In place: rumble and DC removed, integrated loudness set, peaks held below the ceiling."""
    high_pass(samples, sample_rate, mastering.high_pass_hz)
    ceiling = 10.0 ** (mastering.true_peak_db / 20.0)
    # A limiter takes loudness away again; a second round gives back most of it.
    for _ in range(2):
        scale(samples, loudness_gain(samples, sample_rate, mastering.loudness_lufs))
        limit(samples, sample_rate, ceiling)


def high_pass(samples: Samples, sample_rate: int, cutoff_hz: float) -> None:
    """In place: second-order Butterworth high-pass."""
    response = high_pass_response(cutoff_hz, sample_rate)
    for start, filtered in filter_in_segments(samples, response, SEGMENT_FRAMES):
        samples[:, start : start + filtered.shape[1]] = filtered


def loudness_gain(samples: Samples, sample_rate: int, target_lufs: float) -> float:
    """The factor to `target_lufs` (ITU-R BS.1770 integrated); 1 for silence or under 0.4 s."""
    loudness = integrated_loudness(AudioClip(samples, sample_rate))
    if loudness is None:
        return 1.0
    return 10.0 ** (min(target_lufs - loudness, LOUDEST_RISE_DB) / 20.0)


def limit(samples: Samples, sample_rate: int, ceiling: float) -> None:
    """In place: look-ahead peak limiter over all channels together.

    The gain is found for every millisecond and follows straight lines between. It falls within
    the look-ahead before a peak and recovers within the release. No sample exceeds `ceiling`
    afterwards.
    """
    block = max(1, round(BLOCK_SEC * sample_rate))
    peaks = _block_peaks(samples, block)
    if float(peaks.max(initial=0.0)) <= ceiling:
        return
    lookahead = round(LOOKAHEAD_SEC / BLOCK_SEC)
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    # A sample's gain lies between those of two blocks, and each is a mean over the look-ahead:
    # held one block longer than that, none of what it is made of is above what the sample needs.
    held = _sliding(np.minimum.reduce, needed, lookahead + 1)
    gain = _sliding(np.mean, _released(held), lookahead)
    centres = (np.arange(gain.size) + 0.5) * block
    for start, segment in spool.segments(samples, SEGMENT_FRAMES):
        frames = np.arange(start, start + segment.shape[1])
        segment *= np.interp(frames, centres, gain).astype(np.float32)
        np.clip(segment, -ceiling, ceiling, out=segment)  # rounding to float32


def _block_peaks(samples: Samples, block: int) -> NDArray[np.float64]:
    """Largest magnitude in each block of frames, over all channels."""
    peaks: list[NDArray[np.float32]] = []
    for _, segment in spool.segments(samples, SEGMENT_FRAMES // block * block):
        starts = np.arange(0, segment.shape[1], block)
        highest = np.maximum.reduceat(segment, starts, axis=1).max(axis=0)
        lowest = np.minimum.reduceat(segment, starts, axis=1).min(axis=0)
        peaks.append(np.maximum(highest, -lowest))
    return np.concatenate(peaks).astype(np.float64) if peaks else np.zeros(0)


def _sliding(
    reduce: Callable[..., NDArray[np.float64]], values: NDArray[np.float64], reach: int
) -> NDArray[np.float64]:
    """`reduce` over each value and `reach` neighbours on either side; the ends go on outwards."""
    padded = np.pad(values, reach, mode="edge")
    return reduce(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)


def _released(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain reduction recovering exponentially, block by block; never above `gain`."""
    recovery = float(np.exp(-BLOCK_SEC / RELEASE_SEC))
    reduction = 0.0
    smooth = np.empty_like(gain)
    for index, value in enumerate(1.0 - gain):
        reduction = max(float(value), reduction * recovery)
        smooth[index] = 1.0 - reduction
    return smooth
