"""What happens after every step of the work: check, report, stop if asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.protocol import Phase, PhaseProgress, ProgressCallback
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed

OnIteration = Callable[[int, NDArray[Any]], None]
"""on_iteration(iteration, latents): an evaluation of the velocity is done."""


def iterations_watched(
    counted: Sequence[int],
    calls: Sequence[int],
    on_progress: ProgressCallback,
    cancel: CancelToken,
    *,
    hint: str | None = None,
) -> OnIteration:
    """For a solver: the first report is made at once.

    counted, calls: after each iteration, the steps that are shown to be done and the model calls
    made. hint: what to do where a value is not finite; that raises ModelInferenceFailed, naming
    the step. Raises Cancelled.
    """
    total = counted[-1]
    on_progress(PhaseProgress(Phase.DIFFUSING, 0, total, 0.0))

    def on_iteration(iteration: int, latents: NDArray[Any]) -> None:
        done = counted[iteration]
        if not np.isfinite(latents).all():
            raise ModelInferenceFailed(
                f"Diffusion step {done} of {total} gave NaN or Inf.", hint=hint, step=done
            )
        fraction = calls[iteration] / calls[-1]
        on_progress(PhaseProgress(Phase.DIFFUSING, done, total, fraction))
        cancel.raise_if_cancelled()

    return on_iteration


def percent_of(
    phase: Phase, on_progress: ProgressCallback, cancel: CancelToken
) -> Callable[[float], None]:
    """Reports the share of a phase that is done. Raises Cancelled."""

    def report(fraction: float) -> None:
        on_progress(PhaseProgress(phase, round(100 * fraction), 100, fraction))
        cancel.raise_if_cancelled()

    return report


def part_of(on_progress: ProgressCallback, first: float, last: float) -> ProgressCallback:
    """For work that is a part of its phase's time, from one share of it to another."""

    def report(progress: PhaseProgress) -> None:
        on_progress(replace(progress, fraction=first + (last - first) * progress.fraction))

    return report


def ignore_progress(progress: PhaseProgress) -> None:
    """For callers that do not watch."""
