"""The noise levels of a run: flow matching with a shift of 3.

Source: ACE-Step's flow-match schedulers (1000 training timesteps, shift 3). The smallest level is
taken from the already shifted training table and the whole line is shifted once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SHIFT = 3.0
TRAINING_TIMESTEPS = 1000


Sigma = TypeVar("Sigma", float, NDArray[np.float64])


@dataclass(frozen=True)
class Schedule:
    """sigmas: float32 [N + 1], from 1 down to exactly 0; timesteps: float32 [N], 1000 · sigma."""

    sigmas: NDArray[np.float32]
    timesteps: NDArray[np.float32]

    @property
    def steps(self) -> int:
        return len(self.timesteps)


def shift(sigma: Sigma) -> Sigma:
    """s·σ / (1 + (s − 1)·σ) with s = 3: spends more of the steps at high noise."""
    return SHIFT * sigma / (1.0 + (SHIFT - 1.0) * sigma)


def flow_schedule(steps: int) -> Schedule:
    """The N = `steps` noise levels, ending in 0. All three solvers walk along them."""
    smallest = float(np.float32(shift(1.0 / TRAINING_TIMESTEPS)))
    levels = shift(np.linspace(1.0, smallest, steps, dtype=np.float64)).astype(np.float32)
    timesteps = levels * np.float32(TRAINING_TIMESTEPS)
    return Schedule(np.append(levels, np.float32(0.0)), timesteps)
