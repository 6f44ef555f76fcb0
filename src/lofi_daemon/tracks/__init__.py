"""Finished tracks: their identity, the folder they lie in, and how they get there unharmed.

`cache.TrackCache` is the door; `sidecar.Track` is what it hands out.
"""

from lofi_daemon.tracks.cache import TrackCache
from lofi_daemon.tracks.identity import Recipe, track_id
from lofi_daemon.tracks.sidecar import Track

__all__ = ["Recipe", "Track", "TrackCache", "track_id"]
