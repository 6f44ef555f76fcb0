"""Integrated loudness after ITU-R BS.1770-4, in constant memory.

pyloudnorm designs the filters; filtering and gating run over the track in blocks here, because
its own meter needs several float64 copies of the whole track.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from pyloudnorm import IIRfilter
from scipy.signal import lfilter

from lofi_daemon.audio import AudioClip

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
BLOCK_SEC = 0.4
HOPS_PER_BLOCK = 4  # blocks overlap by three quarters


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
    rate = clip.sample_rate
    # The shelf and the high pass whose coefficients at 48 kHz are those printed in the standard.
    shelf = IIRfilter(
        3.99984385397, 0.7071752369554193, 1681.9744509555319, rate, "high_shelf_DeMan"
    )
    high_pass = IIRfilter(0.0, 0.5003270373253953, 38.13547087613982, rate, "high_pass_DeMan")
    filters = [(weighting.b, weighting.a) for weighting in (shelf, high_pass)]
    hop = round(rate * BLOCK_SEC / HOPS_PER_BLOCK)
    channels = clip.samples.shape[0]
    states = [np.zeros((channels, 2)) for _ in filters]
    energies: list[float] = []
    for start in range(0, clip.samples.shape[1] - hop + 1, hop):
        signal = clip.samples[:, start : start + hop].astype(np.float64)
        for index, (b, a) in enumerate(filters):
            signal, states[index] = lfilter(b, a, signal, axis=1, zi=states[index])
        energies.append(float(np.square(signal).mean(axis=1).sum()))
    return np.array(energies)


def _loudness(energy: float) -> float:
    return -0.691 + 10.0 * math.log10(energy)


def _energy(loudness: float) -> float:
    return 10.0 ** ((loudness + 0.691) / 10.0)
