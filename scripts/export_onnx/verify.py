"""Comparing an exported graph with the PyTorch module that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime


class VerificationError(Exception):
    """An exported graph computes something else than its PyTorch module."""


@dataclass(frozen=True)
class Expectation:
    """Inputs of one call and the outputs that PyTorch gave for them."""

    label: str
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[np.ndarray]


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference ÷ standard deviation of ``expected``.

    Where ``expected`` is constant the difference stands as it is; NaN or a wrong shape is inf.
    """
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    difference = float(np.abs(actual.astype(np.float64) - expected).max())
    return difference / (float(expected.std()) or 1.0)


def verify_graph(path: Path, expectations: Sequence[Expectation], limit: float) -> list[float]:
    """Run ``path`` in onnxruntime on the CPU and return the largest error of every expectation.

    Raises VerificationError if one exceeds ``limit``.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    errors = []
    for expectation in expectations:
        outputs = session.run(None, dict(expectation.inputs))
        error = max(map(relative_error, outputs, expectation.outputs))
        if not error <= limit:
            raise VerificationError(
                f"{path.name} at {expectation.label} differs from PyTorch by {error:.1e} of the "
                f"standard deviation; the limit is {limit:.0e}"
            )
        errors.append(error)
    return errors
