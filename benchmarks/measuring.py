"""The clocks and the memory of the process that measures itself."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
