"""The hybrid spectrum: 128 rows that keep semitones apart below and transients above.

A front end is a list of ranges, each with a window of its own. Below 1 kHz bands are evenly spaced
on an axis that is linear below 250 Hz and logarithmic above, and read a window of 4096 samples; up
to 2.5 kHz a window of 2048, and above, where hats and snares live, one of 512 at twice the rate:
both values of a frame stand below each other. Bands are triangles and averages of magnitudes,
scaled so that a full-scale sine is about 1; values are natural logarithms, floored.

`FIRST` is the front end of the first edition, which had two ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch

from lofi_daemon.sound.loudness import k_weighting

SAMPLE_RATE = 44100
HOP = 512
BANDS = 128
LOWEST_HZ, HIGHEST_HZ = 30.0, 14000.0
FLOOR = 1e-4


def _warp(frequency: np.ndarray) -> np.ndarray:
    return np.where(frequency < 250, frequency / 250, 1 + np.log(np.maximum(frequency, 250) / 250))


def evenly_warped(low: float, high: float, bands: int) -> np.ndarray:
    """The `bands` + 2 edges in Hz of overlapping triangles from `low` to `high`."""
    start, stop = _warp(np.array([low, high]))
    warped = np.linspace(start, stop, bands + 2)
    return np.where(warped < 1, warped * 250, 250 * np.exp(warped - 1))


@dataclass(frozen=True)
class Range:
    """Bands that read one window.

    bins: the STFT's bins a vocoder works on. decimation: how much slower than the sample rate it
    can work. steps: its Griffin-Lim iterations. own_phases: each channel has phases of its own.
    """

    name: str
    window: int
    hop: int
    edges: tuple[float, ...]
    bins: range
    decimation: int = 1
    steps: int = 6
    own_phases: bool = False

    @property
    def bands(self) -> int:
        return len(self.edges) - 2

    @property
    def per_frame(self) -> int:
        """Values a band has in each frame of `HOP` samples."""
        return HOP // self.hop

    @property
    def rows(self) -> int:
        return self.bands * self.per_frame

    @cached_property
    def matrix(self) -> np.ndarray:
        """Band averages over the bins of an STFT: float64 [bands, window // 2 + 1]."""
        frequencies = np.arange(self.window // 2 + 1) * SAMPLE_RATE / self.window
        matrix = np.zeros((self.bands, len(frequencies)))
        for band in range(self.bands):
            low, centre, high = self.edges[band : band + 3]
            weights = np.minimum(
                (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
            )
            weights = np.maximum(weights, 0)
            if weights.sum() == 0:
                weights[np.argmin(abs(frequencies - centre))] = 1
            matrix[band] = weights / weights.sum()
        return matrix


FrontEnd = tuple[Range, ...]


def _first() -> FrontEnd:
    edges = tuple(evenly_warped(LOWEST_HZ, HIGHEST_HZ, BANDS))
    low = sum(edge < 1000 for edge in edges[1:-1])
    return (
        Range("low", 4096, HOP, edges[: low + 2], range(2, 100), decimation=16, steps=32),
        Range("high", 2048, HOP, edges[low:], range(43, 652)),
    )


def _second() -> FrontEnd:
    low, middle, high = 59, 25, 22
    return (
        Range(
            "low", 4096, HOP, tuple(evenly_warped(LOWEST_HZ, 1035, low)), range(2, 100),
            decimation=16, steps=32,
        ),
        Range(
            "middle", 2048, HOP, tuple(evenly_warped(980, 2560, middle)), range(43, 125), steps=16,
        ),
        Range(
            "high", 512, HOP // 2, tuple(evenly_warped(2440, HIGHEST_HZ, high)), range(26, 164),
            steps=32, own_phases=True,
        ),
    )  # fmt: skip


FIRST, SECOND = _first(), _second()
assert all(sum(each.rows for each in front_end) == BANDS for front_end in (FIRST, SECOND))


def crossovers(front_end: FrontEnd) -> list[float]:
    """The frequencies in Hz at which one range passes into the next."""
    return [1000.0, 2500.0][: len(front_end) - 1]


@cache
def row_centres(front_end: FrontEnd) -> np.ndarray:
    """The centre of each of the 128 rows in Hz."""
    return np.concatenate([np.tile(each.edges[1:-1], each.per_frame) for each in front_end])


@cache
def _filter(each: Range) -> torch.Tensor:
    return torch.tensor(each.matrix, dtype=torch.float32)


def magnitudes(audio: torch.Tensor, each: Range) -> torch.Tensor:
    """Magnitudes [channels, bins, frames] of [channels, samples]; frame m is centred at hop · m."""
    window = torch.hann_window(each.window)
    spectrum = torch.stft(audio, each.window, each.hop, window=window, return_complex=True)
    return spectrum.abs() * (4 / each.window)


def log_spectrum(audio: torch.Tensor, front_end: FrontEnd = SECOND) -> torch.Tensor:
    """Hybrid log spectrum of [channels, samples]: [channels, 128, samples // 512]."""
    frames = audio.shape[-1] // HOP
    rows: list[torch.Tensor] = []
    for each in front_end:
        bands = (_filter(each) @ magnitudes(audio, each))[..., : frames * each.per_frame]
        rows += [bands[..., part :: each.per_frame] for part in range(each.per_frame)]
    return torch.log(torch.cat(rows, dim=1).clamp_min(FLOOR))


def loudness_db(front_end: FrontEnd) -> np.ndarray:
    """What the square of each of the 128 rows adds to the loudness of a sound, in dB.

    As for noise, whose power is that of its mean magnitudes; of steady tones there is more.
    """
    weighting = np.abs(np.fft.rfft(k_weighting(SAMPLE_RATE), 1 << 16)) ** 2
    frequencies = np.fft.rfftfreq(1 << 16, 1 / SAMPLE_RATE)
    weights: list[np.ndarray] = []
    for each in front_end:
        edges = np.array(each.edges)
        bins = np.maximum((edges[2:] - edges[:-2]) / 2 * each.window / SAMPLE_RATE, 1.0)
        band = bins / 3 * np.interp(edges[1:-1], frequencies, weighting)
        weights.append(np.tile(band, each.per_frame) / each.per_frame)
    return 10 * np.log10(np.concatenate(weights))
