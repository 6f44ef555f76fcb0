"""How much memory there is for models, and giving back what one has used."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.errors import ModelLoadFailed

_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _GroupFiles:
    limit: str
    used: str
    cached: str


# By the controller's name in /proc/self/cgroup: none in version 2 of control groups.
_FILES = {
    "": _GroupFiles("memory.max", "memory.current", "inactive_file"),
    "memory": _GroupFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory() -> int | None:
    """Bytes that could be used now without anything being swapped out; None where nobody says.

    On Linux: MemAvailable, and what the limits of the control groups above this process leave.
    Elsewhere None: the system decides what it swaps.
    """
    if sys.platform != "linux":
        return None
    machine = _meminfo("MemAvailable")
    group = _left_in_groups()
    known = [each for each in (machine, group) if each is not None]
    return min(known) if known else None


def check_memory(what: str, needed: int, available: int | None, remedy: str) -> None:
    """Raises ModelLoadFailed, with both numbers of bytes, where `needed` is not available."""
    if available is not None and available < needed:
        raise ModelLoadFailed(
            f"{what} needs {needed / 1e9:.1f} GB of memory; "
            f"{available / 1e9:.1f} GB are available.",
            hint=remedy,
            needed_bytes=needed,
            available_bytes=available,
        )


def total_memory() -> int | None:
    """Bytes that this process may ever use: the machine's, or a control group's limit.

    None where the system does not say.
    """
    limits = [limit for group, names in _memory_groups() if (limit := _limit(group, names))]
    machine = _meminfo("MemTotal") if sys.platform == "linux" else None
    known = [each for each in (machine, *limits) if each is not None]
    if known:
        return min(known)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def give_back_freed_memory() -> None:
    """Hand memory that was freed to the system, which the C library of Linux keeps otherwise.

    Arrays of every size come and go with a track; after some dozens what lies between them is lost.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # not in musl, which keeps nothing
            trim(0)


def _meminfo(name: str) -> int | None:
    for line in _read(_MEMORY).splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _left_in_groups() -> int | None:
    """The least that any limited group on the way up has left; cached files do not count."""
    left = [
        limit - int(_read(group / names.used).strip() or 0) + _cached(group, names.cached)
        for group, names in _memory_groups()
        if (limit := _limit(group, names)) is not None
    ]
    return max(0, min(left)) if left else None


def _limit(group: Path, names: _GroupFiles) -> int | None:
    text = _read(group / names.limit).strip()
    return int(text) if text.isdigit() else None


def _memory_groups() -> Iterator[tuple[Path, _GroupFiles]]:
    for line in _read(_GROUP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = _GROUPS / controllers
            group = root / path.lstrip("/")
            for each in (group, *group.parents):
                if each == root.parent:
                    break
                yield each, _FILES[controllers]


def _cached(group: Path, name: str) -> int:
    lines = (line.split() for line in _read(group / "memory.stat").splitlines())
    return sum(int(count) for key, count in lines if key == name)


def _read(path: Path) -> str:
    """The text of a file of the kernel's, empty where there is no such file."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
