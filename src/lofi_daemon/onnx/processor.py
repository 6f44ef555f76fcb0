"""What the processor's 8-bit products are worth."""

from __future__ import annotations

import functools
import platform
import sys
from pathlib import Path
from typing import Any

_CPU_INFO = Path("/proc/cpuinfo")
# Instructions that add products of bytes in 32 bits.
_EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def multiply_bytes_exactly(options: Any) -> None:
    """Have sessions made with these onnxruntime.SessionOptions lose nothing in 8-bit products."""
    if byte_products_saturate():
        options.add_session_config_entry("session.x64quantprecision", "1")


@functools.cache
def byte_products_saturate() -> bool:
    """Whether onnxruntime's fastest products of uint8 and int8 lose what exceeds 16 bits.

    So they do on x86 processors without VNNI (AVX2's vpmaddubsw); the option
    `session.x64quantprecision` of onnxruntime takes exact ones instead. Where the system does not
    say what its processor has, exact goes before fast.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return not _EXACT & _flags(_CPU_INFO)


def _flags(cpu_info: Path) -> set[str]:
    """The instruction sets that Linux names; none elsewhere."""
    if sys.platform != "linux":
        return set()
    try:
        text = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.partition(":")[2].split())
