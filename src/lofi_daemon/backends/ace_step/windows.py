"""Cutting a long axis into overlapping windows, and joining what they give.

Every window but the only one of a short axis has the same length; the last one ends exactly at
the end of the axis (it overlaps more instead of being filled up with something else).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    start: int
    stop: int


def windows(length: int, size: int, overlap: int) -> list[Window]:
    """Windows of `size` that cover 0 … length, neighbours sharing at least `overlap`."""
    if length <= size:
        return [Window(0, length)]
    starts = [*range(0, length - size, size - overlap), length - size]
    return [Window(start, start + size) for start in starts]


def kept_span(index: int, all_windows: list[Window], margin: int) -> Window:
    """The part of window `index` that is kept when `margin` on its inner edges is dropped.

    The spans of all windows tile the axis without gap or overlap, provided overlap ≥ 2 · margin.
    """
    window = all_windows[index]
    start = 0 if index == 0 else all_windows[index - 1].stop - margin
    stop = window.stop if index == len(all_windows) - 1 else window.stop - margin
    return Window(start, stop)


def blend_weights(index: int, all_windows: list[Window], margin: int) -> NDArray[np.float32]:
    """Weights [window length] of window `index`; over all windows they sum to 1 everywhere.

    Neighbours cross over on a raised cosine in their shared stretch, leaving out `margin` on both
    sides of it, where a window's own border is felt.
    """
    window = all_windows[index]
    weights = np.ones(window.stop - window.start, dtype=np.float32)
    if index > 0:
        shared = all_windows[index - 1].stop - window.start
        weights[:shared] = _rise(shared, margin)
    if index < len(all_windows) - 1:
        shared = window.stop - all_windows[index + 1].start
        weights[-shared:] *= 1.0 - _rise(shared, margin)
    return weights


def _rise(length: int, margin: int) -> NDArray[np.float32]:
    position = (np.arange(length, dtype=np.float64) + 0.5 - margin) / max(1, length - 2 * margin)
    return (0.5 - 0.5 * np.cos(np.pi * np.clip(position, 0.0, 1.0))).astype(np.float32)
