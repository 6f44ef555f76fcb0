"""The tracks that a radio may play, and when each was last heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime

from lofi_daemon.radio.programme import KnownTrack, Programme
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.growing import GrowingTrack


class Shelf:
    """What was heard since the daemon began is remembered here; before that, sidecars tell."""

    def __init__(self, tracks: TrackCache) -> None:
        self._tracks = tracks
        self._heard: dict[str, float] = {}
        self._began = time.time()
        self._unplayable: set[str] = set()

    @property
    def unplayable(self) -> frozenset[str]:
        return frozenset(self._unplayable)

    def leave_out(self, track_ids: Iterable[str]) -> None:
        """These cannot be played."""
        self._unplayable.update(track_ids)

    def try_all_again(self) -> None:
        self._unplayable.clear()

    def heard_now(self, track_id: str) -> None:
        self._heard[track_id] = time.time()

    async def tracks(self, programme: Programme) -> list[Track]:
        """What this programme may play of what lies in the cache."""
        tracks = await asyncio.to_thread(self._tracks.tracks)
        kept_only = programme.library == "kept"
        return [
            track
            for track in tracks
            if track.track_id not in self._unplayable and (track.kept or not kept_only)
        ]

    def known(self, track: Track) -> KnownTrack:
        heard = self._heard.get(track.track_id)
        if heard is None and track.last_played_at is not None:
            # What was heard here was heard later, even where a wrong clock dated the other.
            heard = min(self._began, _moment(track.last_played_at) or 0.0)
        return KnownTrack(track.track_id, track.duration_sec, heard)

    def known_growing(self, track: GrowingTrack) -> KnownTrack:
        heard = self._heard.get(track.track_id)
        return KnownTrack(track.track_id, track.growth.duration_sec, heard)


def _moment(written: str) -> float | None:
    """A sidecar's time in seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
