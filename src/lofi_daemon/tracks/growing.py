"""A track that can be heard already, while the rest of it is being made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.sound.growth import Growth


@dataclass(frozen=True)
class GrowingTrack:
    """path: a file beside the tracks that grows, and is gone once the track is made or given up."""

    track_id: str
    prompt: str
    path: Path
    growth: Growth
