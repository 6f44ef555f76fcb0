"""Arrays as long as a track: their length costs room on the disk, not in memory.

A long one is a mapping of a file without a name. What was touched of it stays in memory until
`let_go` is called, so whoever walks through such an array does it in `segments`.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE_BYTES = 16_000_000


def zeros(*shape: int) -> NDArray[np.float32]:
    """float32 of that shape; in memory where it is short, or where there is no room on the disk."""
    size = 4 * math.prod(shape)
    if size < LARGE_BYTES or not hasattr(os, "posix_fallocate"):
        return np.zeros(shape, dtype=np.float32)
    try:
        with tempfile.TemporaryFile(prefix="lofi-") as file:
            # All of the room now: a mapping has no way to say later that the disk is full.
            os.posix_fallocate(file.fileno(), 0, size)
            mapping = mmap.mmap(file.fileno(), size)
    except OSError:
        return np.zeros(shape, dtype=np.float32)
    return np.frombuffer(mapping, dtype=np.float32).reshape(shape)


def segments(array: NDArray[np.float32], length: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(start, view [..., ≤ length]) one after another along the last axis, memory let go behind."""
    for start in range(0, array.shape[-1], length):
        yield start, array[..., start : start + length]
        let_go(array)


def let_go(array: NDArray[np.float32]) -> None:
    """Give back the memory that reading and writing took; the values stay."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    mapping = base.obj if isinstance(base, memoryview) else base
    if isinstance(mapping, mmap.mmap):
        mapping.madvise(mmap.MADV_DONTNEED)
