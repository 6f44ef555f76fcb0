"""Arrays that lie in a model's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.errors import ModelLoadFailed


def read_array(path: Path) -> NDArray[np.float32]:
    """Raises ModelLoadFailed, naming the file."""
    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"Model file {path} cannot be loaded: {error}") from error
