"""Integrated loudness after ITU-R BS.1770-4, in constant memory and with numpy alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import AudioClip, Samples
from lofi_daemon.sound.filters import FilteredStream, filter_pieces, impulse_response

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
BLOCK_SEC = 0.4
HOPS_PER_BLOCK = 4  # blocks overlap by three quarters
_RESPONSE_SEC = 0.125  # after which the filters' response is below 1e-12
HOPS_PER_SEGMENT = 20

_PEAK_SEGMENT = 1 << 18
_LOUDEST = 256  # of every segment and channel
_SINC_REACH = 24


def _sinc() -> NDArray[np.float64]:
    """Weights [2 · reach, 3]: the value a quarter, a half and three quarters behind the middle."""
    distance = np.arange(2 * _SINC_REACH)[:, None] - (_SINC_REACH - 1) - np.array([0.25, 0.5, 0.75])
    return np.sinc(distance) * np.cos(np.pi / 2 * distance / (_SINC_REACH + 1)) ** 2


_SINC = _sinc()
SINC_BEFORE, SINC_AFTER = _SINC_REACH - 1, _SINC_REACH


def peaks_between(samples: Samples) -> NDArray[np.float64]:
    """Magnitude of every sample, or of the waveform behind it where that is larger.

    samples [channels, SINC_BEFORE + n + SINC_AFTER]: with their neighbours; the result is [n], over
    all channels. As `true_peak` has it, everywhere.
    """
    inner = samples[:, SINC_BEFORE : samples.shape[1] - SINC_AFTER]
    peaks = np.abs(inner).max(axis=0).astype(np.float64)
    for channel in samples.astype(np.float64):
        for weights in _SINC.T:
            np.maximum(peaks, np.abs(np.correlate(channel, weights, "valid")), out=peaks)
    return peaks


def integrated_loudness(clip: AudioClip) -> float | None:
    """Loudness of the whole clip in LUFS; None for silence and for less than 0.4 s."""
    segment = hop_frames(clip.sample_rate) * HOPS_PER_SEGMENT
    pieces = (part for _, part in spool.segments(clip.samples, segment))
    energies = list(hop_energies(pieces, clip.sample_rate))
    return gated_loudness(np.concatenate(energies) if energies else np.zeros(0))


def gated_loudness(energies: NDArray[np.float64]) -> float | None:
    """Loudness in LUFS of consecutive `hop_energies`; None for silence and for less than 0.4 s."""
    blocks = len(energies) - HOPS_PER_BLOCK + 1
    if blocks < 1:
        return None
    block_energies = np.convolve(energies, np.ones(HOPS_PER_BLOCK) / HOPS_PER_BLOCK, mode="valid")
    audible = block_energies[block_energies > _energy(ABSOLUTE_GATE_LUFS)]
    if audible.size == 0:
        return None
    gate = _loudness(float(audible.mean())) + RELATIVE_GATE_LU
    return round(_loudness(float(audible[audible > _energy(gate)].mean())), 2)


def hop_frames(sample_rate: int) -> int:
    """Frames in 0.1 s: loudness is measured over blocks of four such hops."""
    return round(sample_rate * BLOCK_SEC / HOPS_PER_BLOCK)


def hop_energies(pieces: Iterable[Samples], sample_rate: int) -> Iterator[NDArray[np.float64]]:
    """Mean square of the K-weighted signal, summed over channels, for every 0.1 s of each piece.

    Pieces [channels, n] follow one another; none is longer than HOPS_PER_SEGMENT hops, and all but
    the last are whole hops long.
    """
    hop = hop_frames(sample_rate)
    weighting = k_weighting(sample_rate)
    for weighted in filter_pieces(pieces, weighting, hop * HOPS_PER_SEGMENT):
        yield _energies(weighted, hop)


class RunningLoudness:
    """The loudness of what there is so far of a sound that goes on."""

    def __init__(self, sample_rate: int) -> None:
        self._hop = hop_frames(sample_rate)
        self._segment = self._hop * HOPS_PER_SEGMENT
        self._weighted = FilteredStream(k_weighting(sample_rate), self._segment)
        self._rest: Samples | None = None
        self._energies: list[NDArray[np.float64]] = []

    def add(self, piece: Samples) -> None:
        """The next frames [channels, n], of any number."""
        waiting = piece if self._rest is None else np.concatenate((self._rest, piece), axis=1)
        whole = waiting.shape[1] // self._hop * self._hop
        for start in range(0, whole, self._segment):
            part = waiting[:, start : min(start + self._segment, whole)]
            self._energies.append(_energies(self._weighted.filtered(part), self._hop))
        self._rest = waiting[:, whole:].copy()

    @property
    def lufs(self) -> float | None:
        """None for silence and for less than 0.4 s."""
        return gated_loudness(self.energies)

    @property
    def energies(self) -> NDArray[np.float64]:
        """As `hop_energies` has them."""
        return np.concatenate(self._energies) if self._energies else np.zeros(0)


def _energies(weighted: NDArray[np.float64], hop: int) -> NDArray[np.float64]:
    channels, frames = weighted.shape
    hops = frames // hop
    squares = np.square(weighted[:, : hops * hop]).reshape(channels, hops, hop)
    return squares.mean(axis=2).sum(axis=0)


def true_peak(clip: AudioClip) -> float:
    """The largest magnitude of the waveform between the samples too, 1.0 being full scale.

    As in ITU-R BS.1770-4, annex 2, the signal is interpolated to four times its rate; here by a
    windowed sinc, and only around its loudest samples, beside which the peaks between samples lie.
    """
    peak = 0.0
    for start in range(0, clip.samples.shape[1], _PEAK_SEGMENT):
        around = slice(max(0, start - _SINC_REACH), start + _PEAK_SEGMENT + _SINC_REACH)
        for channel in clip.samples[:, around]:
            padded = np.pad(channel, _SINC_REACH).astype(np.float64)
            count = min(_LOUDEST, len(channel))
            loudest = np.argpartition(np.abs(channel), -count)[-count:]
            # each loudest sample with its neighbours, seen from it and from the sample before it
            places = np.concatenate([loudest, loudest - 1])[:, None] + 1
            windows = padded[np.clip(places + np.arange(2 * _SINC_REACH), 0, len(padded) - 1)]
            between = np.abs(windows @ _SINC).max(initial=0.0)
            peak = max(peak, float(between), float(np.abs(channel).max(initial=0.0)))
        spool.let_go(clip.samples)
    return round(peak, 4)


def waveform_peaks(clip: AudioClip, points: int = 64) -> list[float]:
    """The largest magnitude in each of `points` equal stretches, both channels, 0 to 1."""
    frames = clip.samples.shape[1]
    edges = [frames * point // points for point in range(points + 1)]
    peaks: list[float] = []
    for start, end in itertools.pairwise(edges):
        peaks.append(float(np.abs(clip.samples[:, start:end]).max(initial=0.0)))
        spool.let_go(clip.samples)
    return [round(min(1.0, peak), 3) for peak in peaks]


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """Impulse response of the standard's two filters at any rate: a high shelf, a high pass.

    The analogue prototypes are those of De Man, "Evaluation of implementations of the EBU R128
    loudness measurement" (2018); at 48 kHz they give the coefficients printed in the standard.
    """
    gain, edge, quality = 10 ** (3.999843853973347 / 20), 1681.974450955533, 0.7071752369554196
    k = math.tan(math.pi * edge / sample_rate)
    middle = gain**0.4996667741545416
    norm = 1 + k / quality + k * k
    shelf = (
        (
            (gain + middle * k / quality + k * k) / norm,
            2 * (k * k - gain) / norm,
            (gain - middle * k / quality + k * k) / norm,
        ),
        (2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm),
    )
    edge, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * edge / sample_rate)
    norm = 1 + k / quality + k * k
    high_pass = (
        (1.0, -2.0, 1.0),
        (2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm),
    )
    frames = round(_RESPONSE_SEC * sample_rate)
    return np.convolve(impulse_response(*shelf, frames), impulse_response(*high_pass, frames))[
        :frames
    ]


def _loudness(energy: float) -> float:
    return -0.691 + 10.0 * math.log10(energy)


def _energy(loudness: float) -> float:
    return 10.0 ** ((loudness + 0.691) / 10.0)
