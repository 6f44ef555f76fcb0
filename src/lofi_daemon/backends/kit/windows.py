"""Cutting a long axis into overlapping windows, and joining what they give.

Windows have one length and are spread evenly, so that the last one ends exactly at the end of the
axis instead of being filled up with something. Neighbours are joined in the middle of what they
share, where both are as far from their own border as they can be.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """start (included) and stop (excluded) on the axis."""

    start: int
    stop: int


def windows(length: int, size: int, overlap: int) -> list[Window]:
    """As few windows of `size` as cover 0 … length with neighbours sharing at least `overlap`.

    One window of the whole length where that is no longer than `size`.
    """
    if length <= size:
        return [Window(0, length)]
    count = math.ceil((length - overlap) / (size - overlap))
    starts = [round(index * (length - size) / (count - 1)) for index in range(count)]
    return [Window(start, start + size) for start in starts]


def snug_windows(length: int, most: int, overlap: int) -> list[Window]:
    """`windows` of at most `most`, as many as that takes, each no longer than they need to be."""
    count = len(windows(length, most, overlap))
    return windows(length, -(-(length - overlap) // count) + overlap, overlap)


def growing_windows(length: int, first: int, most: int, overlap: int) -> list[Window]:
    """Windows of which the first gives `first`, and each later one twice as much, up to `most`.

    Neighbours share exactly `overlap`, and join in its middle (see `kept_spans`). A rest of less
    than half of `first` goes with the window before it.
    """
    parts = [Window(0, min(length, first + overlap // 2))]
    core = first
    while parts[-1].stop < length:
        core = min(2 * core, most)
        start = parts[-1].stop - overlap
        stop = start + core + overlap
        parts.append(Window(start, length if length - stop < first // 2 else stop))
    return parts


def kept_spans(parts: list[Window], after: int | None = None) -> list[Window]:
    """What each window contributes to a butt join: the spans tile the axis.

    Neighbours join in the middle of what they share, or `after` places behind its start.
    """
    joins = [
        (left.stop + right.start) // 2 if after is None else right.start + after
        for left, right in itertools.pairwise(parts)
    ]
    edges = [parts[0].start, *joins, parts[-1].stop]
    return [Window(start, stop) for start, stop in itertools.pairwise(edges)]


def blend_weights(index: int, parts: list[Window], width: int) -> NDArray[np.float32]:
    """Weights [window length] of window `index`; over all windows they sum to 1 everywhere.

    Neighbours cross over on a raised cosine of `width`, centred where `kept_spans` would cut.
    """
    window, span = parts[index], kept_spans(parts)[index]
    position = np.arange(window.start, window.stop, dtype=np.float64) + 0.5
    weights = np.ones(position.size)
    if index > 0:
        weights *= _rise(position - span.start, width)
    if index < len(parts) - 1:
        weights *= 1.0 - _rise(position - span.stop, width)
    return weights.astype(np.float32)


def _rise(position: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """From 0 to 1 over `width` around position 0."""
    share = np.clip(position / max(width, 1) + 0.5, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * share)
