"""Asking what lies in a model's folder, which every request does, costs no more than it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lofi_daemon.backends.kit.files import tree_state
from lofi_daemon.backends.protocol import Availability
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models.checksums import known_sums_state


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
