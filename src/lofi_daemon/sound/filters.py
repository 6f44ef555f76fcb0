"""Second-order filters over tracks of any length, in the memory of a few seconds.

A filter is given by its impulse response, cut where nothing of it is left, and applied by fast
convolution (overlap-save). That is as exact as the recursion and needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples

Response = NDArray[np.float64]


def filter_in_segments(
    samples: Samples, response: Response, segment: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(start, filtered [channels, ≤ segment]) one after another; silence came before the first.

    What has been handed out may be overwritten in `samples` before the next is asked for.
    """
    start = 0
    pieces = (part for _, part in spool.segments(samples, segment))
    for filtered in filter_pieces(pieces, response, segment):
        yield start, filtered
        start += filtered.shape[1]


def filter_pieces(
    pieces: Iterable[Samples], response: Response, longest: int
) -> Iterator[NDArray[np.float64]]:
    """Consecutive pieces [channels, ≤ longest], filtered; silence came before the first."""
    overlap = len(response) - 1
    size = 1 << (longest + overlap - 1).bit_length()
    spectrum = np.fft.rfft(response, size)
    before: NDArray[np.float64] | None = None
    for piece in pieces:
        if before is None:
            before = np.zeros((piece.shape[0], overlap))
        signal = np.concatenate((before, piece), axis=1)
        before = signal[:, signal.shape[1] - overlap :].copy()
        filtered = np.fft.irfft(np.fft.rfft(signal, size) * spectrum, size)
        yield filtered[:, overlap : signal.shape[1]]


def impulse_response(
    b: tuple[float, float, float], a: tuple[float, float], frames: int
) -> Response:
    """Of a second-order section whose a[0] = 1 is left out (transposed direct form II)."""
    first = second = 0.0
    response = np.empty(frames)
    for n in range(frames):
        x = 1.0 if n == 0 else 0.0
        y = b[0] * x + first
        first = b[1] * x - a[0] * y + second
        second = b[2] * x - a[1] * y
        response[n] = y
    return response


def high_pass_response(cutoff_hz: float, sample_rate: int) -> Response:
    """Second-order Butterworth high-pass by the bilinear transform, -3 dB at the cutoff."""
    k = math.tan(math.pi * cutoff_hz / sample_rate)
    norm = 1.0 + math.sqrt(2.0) * k + k * k
    b = (1.0 / norm, -2.0 / norm, 1.0 / norm)
    a = (2.0 * (k * k - 1.0) / norm, (1.0 - math.sqrt(2.0) * k + k * k) / norm)
    # The response decays with exp(-√2 π cutoff t): to 1e-9 after 4.7 periods of the cutoff.
    return impulse_response(b, a, math.ceil(4.7 / cutoff_hz * sample_rate))
