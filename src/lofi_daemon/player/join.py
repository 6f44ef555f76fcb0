"""Where one turn goes over into the next without a cross-over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Join:
    """entry: of the turn that is left. position_sec: where in it, None at its end."""

    entry: int
    position_sec: float | None = None
