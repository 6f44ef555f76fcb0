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
    stream = FilteredStream(response, longest)
    for piece in pieces:
        yield stream.filtered(piece)


class FilteredStream:
    """The filter for one who is handed piece after piece, none longer than `longest`."""

    def __init__(self, response: Response, longest: int) -> None:
        self._overlap = len(response) - 1
        self._size = 1 << (longest + self._overlap - 1).bit_length()
        self._spectrum = np.fft.rfft(response, self._size)
        self._before: NDArray[np.float64] | None = None

    def filtered(self, piece: Samples) -> NDArray[np.float64]:
        """float64 of the piece's shape; silence came before the first."""
        if self._before is None:
            self._before = np.zeros((piece.shape[0], self._overlap))
        signal = np.concatenate((self._before, piece), axis=1)
        self._before = signal[:, signal.shape[1] - self._overlap :].copy()
        filtered = np.fft.irfft(np.fft.rfft(signal, self._size) * self._spectrum, self._size)
        return filtered[:, self._overlap : signal.shape[1]]


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
