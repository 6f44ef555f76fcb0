"""The delay pattern: codebook k runs k steps behind, so that one step predicts all codebooks.

Figure 1 and section 2.2 of "Simple and Controllable Music Generation" (Copet et al., 2023). For
T frames and delays 0 … D the grid has T + D + 1 columns. Column 0 is all padding; codebook k
holds frame f in column f + delay(k) + 1 and padding everywhere else. Stereo models interleave
left and right codebooks, and both of a pair have the same delay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]

UNKNOWN = -1


def codebook_delays(codebooks: int, channels: int) -> list[int]:
    """Delay of each codebook in steps: 0, 1, 2, 3 (mono) or 0, 0, 1, 1, … (stereo)."""
    return [codebook // channels for codebook in range(codebooks)]


def delayed(codes: Codes, frames: int, delays: list[int], padding: int) -> Codes:
    """The grid of a stretch whose first frames are known.

    codes: int64 [K, P], the known frames, P ≤ frames. Returns int64 [K, frames + max delay + 1]
    with UNKNOWN where a token is still to be predicted.
    """
    grid = np.full((codes.shape[0], frames + max(delays) + 1), padding, dtype=np.int64)
    for row, known, delay in zip(grid, codes, delays, strict=True):
        row[delay + 1 : delay + 1 + frames] = UNKNOWN
        row[delay + 1 : delay + 1 + known.size] = known
    return grid


def undelayed(grid: Codes, start: int, stop: int, delays: list[int]) -> Codes:
    """Frames start … stop of a grid, int64 [K, stop - start]: the inverse of `delayed`."""
    return np.stack(
        [row[delay + 1 + start : delay + 1 + stop] for row, delay in zip(grid, delays, strict=True)]
    )
