"""The listener's playlist: tracks in order, and how far they were played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Loop = Literal["off", "track", "playlist"]


@dataclass(frozen=True)
class Playlist:
    """position counts the tracks that were reached; the one at that index comes next."""

    track_ids: tuple[str, ...] = ()
    position: int = 0

    def next(self, loop: Loop) -> str | None:
        """What comes next; None at the end. Looping, the end is followed by the beginning."""
        if self.position < len(self.track_ids):
            return self.track_ids[self.position]
        return self.track_ids[0] if loop == "playlist" and self.track_ids else None

    def reached(self, track_id: str) -> Playlist:
        """The track plays now: go on behind it. A track that is not here changes nothing."""
        count = len(self.track_ids)
        for step in range(count):
            index = (self.position + step) % count
            if self.track_ids[index] == track_id:
                return Playlist(self.track_ids, index + 1)
        return self

    def added(self, track_ids: Sequence[str]) -> Playlist:
        return Playlist((*self.track_ids, *track_ids), self.position)

    def removed(self, track_ids: Sequence[str]) -> Playlist:
        gone = set(track_ids)
        before = sum(track_id in gone for track_id in self.track_ids[: self.position])
        kept = tuple(track_id for track_id in self.track_ids if track_id not in gone)
        return Playlist(kept, self.position - before)
