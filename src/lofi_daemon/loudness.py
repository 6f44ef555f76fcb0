"""Integrated loudness after ITU-R BS.1770-4, in constant memory and with numpy alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.audio import AudioClip

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
BLOCK_SEC = 0.4
HOPS_PER_BLOCK = 4  # blocks overlap by three quarters
_RESPONSE_SEC = 0.125  # after which the filters' response is below 1e-12
_SEGMENT_SEC = 2.0


def integrated_loudness(clip: AudioClip) -> float | None:
    """Loudness of the whole clip in LUFS; None for silence and for less than 0.4 s."""
    energies = _hop_energies(clip)
    blocks = len(energies) - HOPS_PER_BLOCK + 1
    if blocks < 1:
        return None
    block_energies = np.convolve(energies, np.ones(HOPS_PER_BLOCK) / HOPS_PER_BLOCK, mode="valid")
    audible = block_energies[block_energies > _energy(ABSOLUTE_GATE_LUFS)]
    if audible.size == 0:
        return None
    gate = _loudness(float(audible.mean())) + RELATIVE_GATE_LU
    return round(_loudness(float(audible[audible > _energy(gate)].mean())), 2)


def waveform_peaks(clip: AudioClip, points: int = 64) -> list[float]:
    """The largest magnitude in each of `points` equal stretches, both channels, 0 to 1."""
    frames = clip.samples.shape[1]
    edges = [frames * point // points for point in range(points + 1)]
    return [
        round(min(1.0, float(np.abs(clip.samples[:, start:end]).max(initial=0.0))), 3)
        for start, end in itertools.pairwise(edges)
    ]


def _hop_energies(clip: AudioClip) -> NDArray[np.float64]:
    """Mean square of the K-weighted signal, summed over channels, for every 0.1 s."""
    rate, (channels, frames) = clip.sample_rate, clip.samples.shape
    hop = round(rate * BLOCK_SEC / HOPS_PER_BLOCK)
    response = k_weighting(rate)
    overlap = len(response) - 1
    segment = hop * round(_SEGMENT_SEC * HOPS_PER_BLOCK / BLOCK_SEC)
    size = 1 << (segment + overlap - 1).bit_length()
    spectrum = np.fft.rfft(response, size)
    energies: list[NDArray[np.float64]] = []
    before = np.zeros((channels, overlap))
    for start in range(0, frames, segment):
        signal = np.concatenate((before, clip.samples[:, start : start + segment]), axis=1)
        weighted = np.fft.irfft(np.fft.rfft(signal, size) * spectrum, size)
        weighted = weighted[:, overlap : signal.shape[1]]
        hops = weighted.shape[1] // hop
        squares = np.square(weighted[:, : hops * hop]).reshape(channels, hops, hop)
        energies.append(squares.mean(axis=2).sum(axis=0))
        before = signal[:, signal.shape[1] - overlap :]
    return np.concatenate(energies) if energies else np.zeros(0)


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
    impulse = [1.0] + [0.0] * round(_RESPONSE_SEC * sample_rate)
    return np.array(_biquad(_biquad(impulse, *shelf), *high_pass))


def _biquad(
    signal: list[float], b: tuple[float, float, float], a: tuple[float, float]
) -> list[float]:
    """Second-order section, transposed direct form II; a[0] = 1 is left out."""
    first = second = 0.0
    result: list[float] = []
    for x in signal:
        y = b[0] * x + first
        first = b[1] * x - a[0] * y + second
        second = b[2] * x - a[1] * y
        result.append(y)
    return result


def _loudness(energy: float) -> float:
    return -0.691 + 10.0 * math.log10(energy)


def _energy(loudness: float) -> float:
    return 10.0 ** ((loudness + 0.691) / 10.0)
