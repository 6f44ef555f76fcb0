"""The latents of a track, and what the model is told of a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.float32]
"""float32 [1, frames, channels]."""

Context = NDArray[np.float32]
"""float32 [1, frames, 2 · channels]: latents of a source, then the mask of what is to be made."""


def context_of(source: Latents, made: NDArray[np.bool_] | None = None) -> Context:
    """A source, and what of it is to be made, bool [frames]; None: all of it."""
    mask = np.ones_like(source)
    if made is not None:
        mask *= made[:, None]
    return np.concatenate((source, mask), axis=2)
