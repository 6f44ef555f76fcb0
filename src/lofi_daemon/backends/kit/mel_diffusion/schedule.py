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
# How close the steps of `windowed_schedule` lie, relative to each other, as found on
# the bundled model.
DENSITY_BEFORE, DENSITY_INSIDE, DENSITY_AFTER = 0.68, 0.9, 1.52
LAST_POWER = 1.5


Sigma = TypeVar("Sigma", float, NDArray[np.float64])


@dataclass(frozen=True)
class Schedule:
    """sigmas: float32 [N + 1], from 1 down to exactly 0; timesteps: float32 [N], 1000 · sigma.

    guided: the steps that are guided, where the levels were laid out around them; None where the
    guidance counts them itself.
    """

    sigmas: NDArray[np.float32]
    timesteps: NDArray[np.float32]
    guided: range | None = None

    @property
    def steps(self) -> int:
        return len(self.timesteps)


def shift(sigma: Sigma) -> Sigma:
    """s·σ / (1 + (s − 1)·σ) with s = 3: spends more of the steps at high noise."""
    return SHIFT * sigma / (1.0 + (SHIFT - 1.0) * sigma)


def flow_schedule(steps: int) -> Schedule:
    """The reference's N = `steps` noise levels, ending in 0; all but adams walk along them."""
    smallest = float(np.float32(shift(1.0 / TRAINING_TIMESTEPS)))
    levels = shift(np.linspace(1.0, smallest, steps, dtype=np.float64)).astype(np.float32)
    timesteps = levels * np.float32(TRAINING_TIMESTEPS)
    return Schedule(np.append(levels, np.float32(0.0)), timesteps)


@dataclass(frozen=True)
class Stretches:
    """Steps before, inside and after the guided part of a run."""

    before: int
    inside: int
    after: int

    @property
    def guided(self) -> range:
        return range(self.before, self.before + self.inside)

    @property
    def steps(self) -> int:
        return self.before + self.inside + self.after

    @property
    def calls(self) -> int:
        """Model calls: a guided step takes two."""
        return self.before + 2 * self.inside + self.after


def stretches(calls: int, interval: float) -> Stretches:
    """How the steps of a run of `calls` model calls are shared out.

    interval: the share of the run that is guided, centred; 0: none of it. The steps lie closest
    after the guided part, where the sound takes shape, and furthest apart in the noise before it:
    17, 45 and 38 % of them for an interval of a half. Where all of the run is guided an odd call
    is left over; where too few are left for a step in each part, nothing is guided.
    """
    if interval >= 1.0:
        return Stretches(0, max(1, calls // 2), 0)
    if interval <= 0.0 or calls < 4:
        return Stretches(calls, 0, 0)
    outside = (1.0 - interval) / 2.0
    weights = DENSITY_BEFORE * outside, DENSITY_INSIDE * interval, DENSITY_AFTER * outside
    steps = calls * sum(weights) / (sum(weights) + weights[1])
    inside = min(max(1, round(steps * weights[1] / sum(weights))), (calls - 2) // 2)
    before = min(max(1, round(steps * weights[0] / sum(weights))), calls - 2 * inside - 1)
    return Stretches(before, inside, calls - 2 * inside - before)


def windowed_schedule(calls: int, interval: float) -> Schedule:
    """Noise levels for a solver that remembers: a node lies on each border of the guided part.

    The guided velocity jumps there, and a step across the jump would be first order at best. In
    the time u from 1 to 0 that the shift turns into noise, nodes are even before and inside the
    guided part, and follow a power of 1.5 towards 0 in the last part; there is no extra node at
    the smallest level.
    """
    shares = stretches(calls, interval)
    borders = [1.0]
    if shares.before and shares.inside:
        borders.append(0.5 + interval / 2.0)
    if shares.inside and shares.after:
        borders.append(0.5 - interval / 2.0)
    borders.append(0.0)
    counts = [count for count in (shares.before, shares.inside, shares.after) if count]
    nodes: list[NDArray[np.float64]] = [np.ones(1)]
    for part, count in enumerate(counts):
        position = np.linspace(0.0, 1.0, count + 1)[1:]
        if part == len(counts) - 1:
            position = 1.0 - (1.0 - position) ** LAST_POWER
        nodes.append(borders[part] + (borders[part + 1] - borders[part]) * position)
    sigmas = shift(np.concatenate(nodes)).astype(np.float32)
    return Schedule(sigmas, sigmas[:-1] * np.float32(TRAINING_TIMESTEPS), shares.guided)
