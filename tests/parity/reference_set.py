"""The reference numbers, by file and array name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

DEFAULT_FOLDER = Path(__file__).parent / "reference"

TEXT_LIMIT = 5e-5
CONTEXT_LIMIT = 5e-5
GUIDANCE_LIMIT = 5e-5
CALL_LIMIT = 1e-4
LOOP_LIMIT = 2e-4
DECODE_LIMIT = 5e-5


class ReferenceSet(Mapping[str, Mapping[str, np.ndarray]]):
    """``reference["umt5"]["one.input_ids"]`` is that array of ``umt5.npz``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, dict[str, np.ndarray]] = {}

    def __getitem__(self, name: str) -> Mapping[str, np.ndarray]:
        if name not in self._files:
            path = self.folder / f"{name}.npz"
            if not path.is_file():
                raise KeyError(name)
            with np.load(path) as arrays:
                self._files[name] = dict(arrays)
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self.folder.glob("*.npz")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def info(self) -> dict[str, Any]:
        """What was recorded while running: settings, guided iterations and calls of each loop."""
        return json.loads((self.folder / "info.json").read_text(encoding="utf-8"))

    @cached_property
    def params(self) -> dict[str, Any]:
        """Seed, tensor shapes and checksums of the weights."""
        return json.loads((self.folder / "params.json").read_text(encoding="utf-8"))

    def config(self, module: str) -> dict[str, Any]:
        """The config.json of ``umt5``, ``transformer``, ``dcae`` or ``vocoder``."""
        text = (self.folder / f"{module}.config.json").read_text(encoding="utf-8")
        return json.loads(text)


REFERENCE = ReferenceSet(Path(os.environ.get("LOFI_TEST_REFERENCE", DEFAULT_FOLDER)))
"""The set under test."""


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference ÷ standard deviation of ``expected``; NaN anywhere is inf."""
    assert actual.shape == expected.shape
    if not np.isfinite(actual).all():
        return float("inf")
    return float(np.abs(actual - expected).max() / expected.std())
