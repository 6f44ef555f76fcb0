"""The shape of a sound file that is still being written; see `growing`. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_BYTES = 2


@dataclass(frozen=True)
class Growth:
    """frames: how long the file will be."""

    sample_rate: int
    channels: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        return SAMPLE_BYTES * self.channels

    @property
    def duration_sec(self) -> float:
        return self.frames / self.sample_rate
