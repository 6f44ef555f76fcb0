"""What a model's table of solvers says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

RunT = TypeVar("RunT")
ModeT = TypeVar("ModeT")


@dataclass(frozen=True)
class Solver(Generic[RunT, ModeT]):
    """solve walks through a run, in which all it needs is bound, to the latents at its end.

    evaluations(steps, mode): how often it asks for the velocity on its way.
    """

    solve: Callable[[RunT], NDArray[np.float32]]
    evaluations: Callable[[int, ModeT], int]
