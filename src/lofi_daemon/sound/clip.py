"""Sound as arrays: the clip type and what is done to whole clips.

Samples are float32 [channels, frames], full scale ±1. What a track of minutes goes through works
piece by piece and in place, and a long array lies on the disk (see spool.py), so that memory does
not grow with the track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound import spool
from lofi_daemon.sound.material import Material

Samples = NDArray[np.float32]

SILENCE_PEAK = 1e-5
SEGMENT_FRAMES = 1 << 17


@dataclass(frozen=True)
class AudioClip:
    """samples: float32 [channels, frames]; sample_rate in Hz.

    material: what a model made it of, where that is worth keeping.
    """

    samples: Samples
    sample_rate: int
    material: Material | None = None

    @property
    def duration_sec(self) -> float:
        return self.samples.shape[1] / self.sample_rate


def resample_stream(pieces: Iterable[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    """Consecutive pieces [channels, n] at another rate (soxr, very high quality), delay removed."""
    if from_rate == to_rate:
        yield from pieces
        return
    import soxr

    stream: soxr.ResampleStream | None = None
    channels = 0
    for piece in pieces:
        if stream is None:
            channels = piece.shape[0]
            stream = soxr.ResampleStream(from_rate, to_rate, channels, "float32", "VHQ")
        yield stream.resample_chunk(np.ascontiguousarray(piece.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, channels), dtype=np.float32), last=True).T


def join_to_length(pieces: Iterable[Samples], channels: int, frames: int) -> Samples:
    """The pieces one after another, cut to exactly `frames`; silence where they fall short."""
    joined = spool.zeros(channels, frames)
    position = 0
    for piece in pieces:
        count = min(piece.shape[1], frames - position)
        joined[:, position : position + count] = piece[:, :count]
        position += count
        spool.let_go(joined)
    return joined


def fade_out(samples: Samples, frames: int) -> None:
    """In place: a raised-cosine fade over the last `frames`, ending in exact silence."""
    frames = min(frames, samples.shape[1])
    if frames > 0:
        curve = 0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, frames))
        samples[:, -frames:] *= curve.astype(np.float32)


def fade_in(samples: Samples, frames: int) -> None:
    """In place: a raised-cosine fade over the first `frames`, from exact silence."""
    frames = min(frames, samples.shape[1])
    if frames > 0:
        curve = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, frames))
        samples[:, :frames] *= curve.astype(np.float32)


def normalise_peak(samples: Samples, peak: float) -> None:
    """In place: scaled as a whole so that the largest sample is `peak`; silence stays silence."""
    largest = 0.0
    for _, segment in spool.segments(samples, SEGMENT_FRAMES):
        largest = max(largest, float(segment.max()), -float(segment.min()))
    if largest > SILENCE_PEAK:
        scale(samples, peak / largest)


def scale(samples: Samples, factor: float) -> None:
    """In place: every sample times `factor`."""
    for _, segment in spool.segments(samples, SEGMENT_FRAMES):
        segment *= np.float32(factor)
