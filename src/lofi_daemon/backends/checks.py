"""What every backend asks before it works: the length, and whether files are whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lofi_daemon.backends.protocol import BackendInfo
from lofi_daemon.errors import InvalidDuration
from lofi_daemon.models import store


def check_duration(info: BackendInfo, duration_sec: float) -> None:
    """Raises InvalidDuration, with both limits, for a length outside the backend's range."""
    if not info.min_duration_sec <= duration_sec <= info.max_duration_sec:
        raise InvalidDuration(
            f"duration_sec: {info.name} makes {info.min_duration_sec:g} to "
            f"{info.max_duration_sec:g} s, not {duration_sec:g}.",
            min=info.min_duration_sec,
            max=info.max_duration_sec,
        )


def files_error(folder: Path, names: Iterable[str], repair: str) -> str | None:
    """What can be seen to be wrong with a folder that needs these files, and what to do about it.

    Raises ModelLoadFailed when the folder's own record is broken.
    """
    problems = store.inspect(folder)
    known = {problem.name for problem in problems}
    problems += [
        store.Problem(name, "is missing")
        for name in names
        if name not in known and not (folder / name).is_file()
    ]
    return store.describe(folder, problems, repair) if problems else None
