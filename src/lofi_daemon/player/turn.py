"""One turn of one sound file at sounding: what playback and the player process both speak of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lofi_daemon.player.join import Join
from lofi_daemon.tracks import Track
from lofi_daemon.tracks.growing import GrowingTrack

Origin = Literal["asked", "previous", "loop", "playlist", "radio"]


@dataclass(frozen=True)
class Turn:
    """A file that is played twice has two turns.

    entry: the turn's own number. path: absolute. gain: linear. track: what the cache knows of the
    file, None for any other file, which has a title. growing: the file is that of a track that is
    still being made. origin: why it was chosen. join: how it goes on from the turn before it, where
    it does.
    """

    entry: int
    path: Path
    gain: float
    track: Track | None = None
    origin: Origin = "asked"
    title: str = ""
    growing: GrowingTrack | None = None
    join: Join | None = None

    @property
    def track_id(self) -> str:
        """The track's; a file's is its file: address."""
        made = self.track or self.growing
        return made.track_id if made is not None else self.path.as_uri()

    @property
    def in_music(self) -> bool:
        """Whether it begins in the midst of another track's music."""
        return self.track is not None and self.track.task == "flow"

    def join_after(self, before: Turn | None) -> Join | None:
        """How it goes on from that turn without a cross-over; None where it is not its sequel.

        A track that leads into itself does at its end. One that was made as a flow of another goes
        on where that one turns to its end.
        """
        track = self.track
        if before is None or track is None:
            return None
        if self.origin == "loop" and track.loops:
            return Join(before.entry)
        if self.in_music and track.source == before.track_id and track.span is not None:
            return Join(before.entry, track.span[0])
        return None

    @property
    def prompt(self) -> str:
        made = self.track or self.growing
        return made.prompt if made is not None else self.title
