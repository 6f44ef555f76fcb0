"""The parts of the house as the methods see them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.models.download_processes import DownloadProcesses
from lofi_daemon.player.playback import Playback
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.sharing import Sharing
from lofi_daemon.station import Station
from lofi_daemon.tracks import TrackCache


@dataclass(eq=False)
class Daemon:
    """What serves one client. Made and used inside the event loop."""

    settings: Settings
    registry: Registry
    tracks: TrackCache
    jobs: Jobs
    playback: Playback
    station: Station
    notifier: Notifier
    downloads: DownloadProcesses
    sharing: Sharing | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Have the daemon end as after `shutdown`."""
        self.stopping.set()

    def protected_tracks(self) -> frozenset[str]:
        """Tracks that must not be evicted: the one that plays and those that will."""
        elsewhere = self.sharing.elsewhere if self.sharing is not None else None
        needed = elsewhere.needed if elsewhere is not None else ()
        return frozenset({*self.playback.protected(), *self.station.protected(), *needed})

    @property
    def playing(self) -> str | None:
        """The track that plays, here or in the daemon that plays for this one."""
        elsewhere = self.sharing.elsewhere if self.sharing is not None else None
        if elsewhere is not None:
            return elsewhere.track_id
        track = self.playback.playing
        return track.track_id if track is not None else None
