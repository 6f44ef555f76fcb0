"""The clocks and the memory of the process that measures itself."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lofi_daemon.child import Child, child

REPOSITORY = Path(__file__).parent.parent


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor_name() -> str:
    """The processor and the vector instructions that matter here, as far as Linux tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2] for line in text.splitlines() if line.startswith("model name"))
    name = next(names, platform.machine()).strip()
    words = set(text.split())
    known = [each for each in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8")]
    return f"{name} ({', '.join(each for each in known if each in words) or 'no AVX2'})"


def process(module: str, *arguments: object) -> Child:
    """`python -m module arguments…` in the repository."""
    return child(module, *map(str, arguments), root=REPOSITORY)


def said(told: Child) -> str:
    """What a process prints, run to its end; its error ends this one."""
    return subprocess.run(
        told.command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=told.folder,
        env=told.environment,
    ).stdout
