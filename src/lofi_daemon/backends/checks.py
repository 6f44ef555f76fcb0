"""What every backend asks before it works: the length, and whether files are whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lofi_daemon.backends.kit.files import tree_state
from lofi_daemon.backends.protocol import Availability, BackendInfo
from lofi_daemon.errors import InvalidDuration, ModelLoadFailed
from lofi_daemon.models import store
from lofi_daemon.models.checksums import known_sums_state


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


class LookedAt:
    """What a model's folder was found to be: looked at again only when something in it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: tuple[object, Availability] | None = None

    def as_of(self, look: Callable[[], Availability], *also: object) -> Availability:
        """What `look` says; where the folder cannot be looked at, that this is wrong.

        also: what else the answer depends on; it is held until the next question. A folder that is
        not there, nor anything in its place, is looked at as an empty one.
        """
        try:
            state = (tree_state(self._folder), known_sums_state(), also)
            if self._found is None or self._found[0] != state or state[0] is None:
                self._found = (state, look())
            return self._found[1]
        except ModelLoadFailed as broken:
            return Availability(installed=True, error=f"{broken.message} {broken.hint}")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return Availability(
                installed=True,
                error=f"The model's folder {self._folder} cannot be read: {reason}. Make it "
                "readable, or point the model's environment variable at another folder.",
            )
