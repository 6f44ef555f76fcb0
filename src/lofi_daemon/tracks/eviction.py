"""Which tracks go, so that a folder stays within its limit."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from lofi_daemon.tracks.sidecar import Track


def to_evict(
    tracks: Iterable[Track],
    max_bytes: int,
    protected: AbstractSet[str],
    coming: Track | None = None,
) -> list[Track]:
    """The least recently used tracks whose going brings all within `max_bytes`.

    Kept tracks and the `protected` ids stay, so the limit may be missed. `coming` is counted
    among them, in the place of its older self, and does not go.
    """
    there = [track for track in tracks if coming is None or track.track_id != coming.track_id]
    size = sum(track.all_bytes for track in there) + (coming.all_bytes if coming is not None else 0)
    going: list[Track] = []
    for track in sorted(there, key=lambda track: track.last_used_at):
        if size <= max_bytes:
            break
        if not track.kept and track.track_id not in protected:
            size -= track.all_bytes
            going.append(track)
    return going
