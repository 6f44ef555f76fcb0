"""The latents of a track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.float32]
"""float32 [1, frames, channels]."""
