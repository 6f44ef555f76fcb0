"""New music put into the sound that it was made from.

Outside its window a new track is its source, sample by sample; a linear ramp outside each border
leads over. The new music is brought to the source's level first: both hold the same music outside
the window, so the ratio of their loudness there is the one that is right inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples, resample_stream
from lofi_daemon.sound.files import SoundFile

BLOCK_FRAMES = 1 << 16
# Below this nothing can be told of a level (mean of the squares).
SILENCE_POWER = 1e-9
LARGEST_GAIN = 16.0


@dataclass(frozen=True)
class Splice:
    """Where the source lies in the new track, all in samples of the new track's rate.

    offset: of the source's first sample. start, stop: of the new music. ramp: on each side. begin:
    what lies before is cut off at the end.
    """

    path: Path
    offset: int
    start: int
    stop: int
    ramp: int
    begin: int = 0

    def share(self, first: int, count: int) -> NDArray[np.float32]:
        """How much of the source is in each of `count` samples from `first` on, 0 to 1."""
        positions = np.arange(first, first + count, dtype=np.float64)
        outside = np.maximum(self.start - positions, positions - (self.stop - 1))
        return np.clip(outside / (self.ramp + 1), 0.0, 1.0).astype(np.float32)


def source_level(samples: Samples, sample_rate: int, splice: Splice) -> float | None:
    """What to multiply the new sound by, so that it is as loud as its source where both play.

    None where that cannot be told: they do not share enough sound. Raises AudioPlaybackError.
    """
    powers = np.zeros(2)
    for first, source in placed(splice.path, splice.offset, samples.shape, sample_rate):
        kept = splice.share(first, source.shape[1]) >= 1.0
        new = samples[:, first : first + source.shape[1]]
        for index, sound in enumerate((new, source)):
            powers[index] += np.square(sound[:, kept], dtype=np.float64).sum()
    powers /= samples.size
    if powers.min() < SILENCE_POWER:
        return None
    return min(math.sqrt(powers[1] / powers[0]), LARGEST_GAIN)


def put_in(samples: Samples, sample_rate: int, splice: Splice) -> None:
    """In place: the source outside the window. Raises AudioPlaybackError."""
    for first, source in placed(splice.path, splice.offset, samples.shape, sample_rate):
        share = splice.share(first, source.shape[1])
        part = samples[:, first : first + source.shape[1]]
        mixed = part + share * (source - part)
        part[:] = np.where(share >= 1.0, source, mixed)


def placed(
    path: Path, offset: int, shape: tuple[int, ...], sample_rate: int
) -> Iterator[tuple[int, Samples]]:
    """(first sample, sound [channels, n]) block after block of what lies inside a track.

    offset: of the file's first sample; shape: the track's, [channels, frames]. Raises
    AudioPlaybackError.
    """
    channels, frames = shape
    first = offset
    with SoundFile(path, "read") as sound:
        blocks = (np.ascontiguousarray(block.T) for block in sound.blocks_to_the_end(BLOCK_FRAMES))
        for block in resample_stream(blocks, sound.samplerate, sample_rate):
            begin, end = max(0, -first), min(block.shape[1], frames - first)
            if end > begin:
                yield first + begin, in_channels(block[:, begin:end], channels)
            first += block.shape[1]


def whole(path: Path, offset: int, shape: tuple[int, ...], sample_rate: int) -> Samples:
    """The same as one array, silent where there is none of it. Raises AudioPlaybackError."""
    samples = spool.zeros(*shape)
    for first, block in placed(path, offset, shape, sample_rate):
        samples[:, first : first + block.shape[1]] = block
        spool.let_go(samples)
    return samples


def in_channels(sound: Samples, channels: int) -> Samples:
    """One channel becomes all of them; more than are wanted become their mean."""
    if sound.shape[0] == channels:
        return sound
    mean = sound.mean(axis=0, keepdims=True, dtype=np.float32)
    return np.repeat(mean, channels, axis=0)
