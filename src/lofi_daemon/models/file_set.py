"""Which files of a model run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PrecisionName = Literal["fp32", "fp16", "int8", "int4"]


@dataclass(frozen=True)
class FileSet:
    """Files that run together.

    folder: where they lie, or will lie when they are made. precision: of the weights: fp32, fp16,
    int8 or int4. version: what a track says of the model that made it. made_of: the folder of the
    files that these are made of, and made of again where they are not whole; None where they came
    as they are, or nothing is left of what they were made of.
    """

    folder: Path
    precision: str
    version: str
    made_of: Path | None = None
