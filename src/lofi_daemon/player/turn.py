"""One turn of one sound file at sounding: what playback and the player process both speak of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lofi_daemon.tracks import Track
from lofi_daemon.tracks.growing import GrowingTrack

Origin = Literal["asked", "previous", "loop", "playlist", "radio"]


@dataclass(frozen=True)
class Turn:
    """A file that is played twice has two turns.

    entry: the turn's own number. path: absolute. gain: linear. track: what the cache knows of the
    file, None for any other file, which has a title. growing: the file is that of a track that is
    still being made. origin: why it was chosen.
    """

    entry: int
    path: Path
    gain: float
    track: Track | None = None
    origin: Origin = "asked"
    title: str = ""
    growing: GrowingTrack | None = None

    @property
    def track_id(self) -> str:
        """The track's; a file's is its file: address."""
        made = self.track or self.growing
        return made.track_id if made is not None else self.path.as_uri()

    @property
    def wraps(self) -> bool:
        """Whether it goes on where its own last turn ends, without a cross-over."""
        return self.origin == "loop" and self.track is not None and self.track.loops

    @property
    def prompt(self) -> str:
        made = self.track or self.growing
        return made.prompt if made is not None else self.title
