"""What there is to know of a sound file of any length, found in the memory of a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound.clip import AudioClip, Samples
from lofi_daemon.sound.files import SoundFile
from lofi_daemon.sound.loudness import (
    HOPS_PER_SEGMENT,
    gated_loudness,
    hop_energies,
    hop_frames,
    true_peak,
)

WAVEFORM_POINTS = 64
_PEAK_CONTEXT = 48  # what the interpolation of a true peak sees around a sample
# A loudness from the beginning alone misses what comes; stretches all over the file come close.
_STRETCHES = 12


class Abandoned(Exception):
    """Nobody wants to know any more."""


@dataclass(frozen=True)
class Measured:
    """loudness_lufs is None for silence and for less than 0.4 s; waveform: peaks from 0 to 1."""

    duration_sec: float
    loudness_lufs: float | None
    true_peak: float
    waveform: list[float]


def measure(path: Path, wanted: Callable[[], bool] = lambda: True) -> Measured:
    """Read a whole file in blocks of two seconds.

    Raises AudioPlaybackError, and Abandoned where `wanted()` turns false meanwhile.
    """
    with SoundFile(path) as file:
        rate: int = file.samplerate
        hop = hop_frames(rate)
        peaks: list[NDArray[np.float32]] = []
        peak = 0.0
        frames = 0

        def pieces() -> Iterator[Samples]:
            nonlocal peak, frames
            before = np.zeros((file.channels, 0), np.float32)
            for block in file.blocks_to_the_end(hop * HOPS_PER_SEGMENT):
                if not wanted():
                    raise Abandoned
                piece = np.ascontiguousarray(block.T)
                around = np.concatenate((before, piece), axis=1)
                peak = max(peak, true_peak(AudioClip(around, rate)))
                before = around[:, -_PEAK_CONTEXT:]
                frames += piece.shape[1]
                peaks.append(_hop_peaks(piece, hop))
                yield piece

        energies = list(hop_energies(pieces(), rate))
    every_peak = np.concatenate(peaks) if peaks else np.zeros(0, np.float32)
    return Measured(
        duration_sec=frames / rate,
        loudness_lufs=gated_loudness(np.concatenate(energies)) if energies else None,
        true_peak=peak,
        waveform=_waveform(every_peak),
    )


def estimated_loudness(path: Path) -> float | None:
    """The loudness of some seconds from all over a file, in LUFS; of the first where it is unknown
    how long the file is. None for silence. Raises AudioPlaybackError.
    """
    with SoundFile(path) as file:
        rate: int = file.samplerate
        length = hop_frames(rate) * HOPS_PER_SEGMENT
        frames = file.known_frames

        def stretches() -> Iterator[Samples]:
            for number in range(_STRETCHES):
                if frames is not None and file.seekable():
                    file.seek(max(0, frames - length) * number // (_STRETCHES - 1))
                yield file.read_block(length).T

        energies = [energy for energy in hop_energies(stretches(), rate) if len(energy)]
    return gated_loudness(np.concatenate(energies)) if energies else None


def _hop_peaks(piece: Samples, hop: int) -> NDArray[np.float32]:
    """The largest magnitude in each hop, all channels."""
    loudest = np.abs(piece).max(axis=0)
    return np.maximum.reduceat(loudest, np.arange(0, len(loudest), hop))


def _waveform(peaks: NDArray[np.float32]) -> list[float]:
    if not len(peaks):
        return [0.0] * WAVEFORM_POINTS
    edges = np.arange(WAVEFORM_POINTS) * len(peaks) // WAVEFORM_POINTS
    return [round(min(1.0, float(peak)), 3) for peak in np.maximum.reduceat(peaks, edges)]
