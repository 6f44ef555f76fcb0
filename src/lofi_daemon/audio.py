"""Sound as arrays: the clip type and what is done to whole clips.

Samples are float32 [channels, frames], full scale ±1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AudioClip:
    """samples: float32 [channels, frames]; sample_rate in Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration_sec(self) -> float:
        return self.samples.shape[1] / self.sample_rate


def resample(clip: AudioClip, sample_rate: int) -> AudioClip:
    """The clip at another rate (soxr, very high quality); the same clip when the rate is right."""
    if clip.sample_rate == sample_rate:
        return clip
    import soxr

    frames_first = np.ascontiguousarray(clip.samples.T)
    resampled = soxr.resample(frames_first, clip.sample_rate, sample_rate, quality="VHQ")
    return AudioClip(np.ascontiguousarray(resampled.T, dtype=np.float32), sample_rate)


def fit_length(clip: AudioClip, duration_sec: float) -> AudioClip:
    """Trimmed to exactly round(duration × rate) frames; silence is added where the clip is short."""
    frames = round(duration_sec * clip.sample_rate)
    samples = clip.samples[:, :frames]
    missing = frames - samples.shape[1]
    if missing > 0:
        samples = np.pad(samples, ((0, 0), (0, missing)))
    return AudioClip(samples, clip.sample_rate)


def fade_out(clip: AudioClip, seconds: float) -> AudioClip:
    """A raised-cosine fade over the last `seconds`, ending in exact silence."""
    frames = min(round(seconds * clip.sample_rate), clip.samples.shape[1])
    if frames == 0:
        return clip
    curve = 0.5 * (1.0 + np.cos(np.linspace(0.0, np.pi, frames, dtype=np.float64)))
    samples = clip.samples.copy()
    samples[:, -frames:] *= curve.astype(np.float32)
    return AudioClip(samples, clip.sample_rate)


def limit_peak(clip: AudioClip, peak: float) -> AudioClip:
    """Scaled down as a whole when its largest sample exceeds `peak`; never scaled up."""
    largest = float(np.abs(clip.samples).max(initial=0.0))
    if largest <= peak:
        return clip
    return AudioClip(clip.samples * np.float32(peak / largest), clip.sample_rate)
