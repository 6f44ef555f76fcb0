"""What the toy takes beyond prompt, length and seed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lofi_daemon.parameters import Options


class ToyOptions(Options):
    """None is what the toy does by itself."""

    wobble: float | None = Field(
        default=None, ge=0.0, le=9.0, description="How much the notes wobble, 0.0 to 9.0."
    )
    tune: Literal["up", "down"] | None = Field(
        default=None, description="Which of the two notes comes first."
    )
