"""One turn of one sound file at sounding: what playback and the player process both speak of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lofi_daemon.tracks import Track

Origin = Literal["asked", "previous", "loop", "playlist", "radio"]


@dataclass(frozen=True)
class Turn:
    """A file that is played twice has two turns.

    entry: the turn's own number. path: absolute. gain: linear. track: what the cache knows of the
    file, None for any other file, which has a title. origin: why it was chosen.
    """

    entry: int
    path: Path
    gain: float
    track: Track | None = None
    origin: Origin = "asked"
    title: str = ""

    @property
    def track_id(self) -> str:
        """The track's; a file's is its file: address."""
        return self.track.track_id if self.track is not None else self.path.as_uri()

    @property
    def prompt(self) -> str:
        return self.track.prompt if self.track is not None else self.title
