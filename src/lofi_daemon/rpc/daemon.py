"""What the methods work with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lofi_daemon.house import House
from lofi_daemon.models.download_processes import DownloadProcesses
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.sharing import Sharing


@dataclass(eq=False)
class Daemon(House):
    """The house of one client, and who is told of it. Made and used inside the event loop."""

    notifier: Notifier
    downloads: DownloadProcesses
    sharing: Sharing | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Have the daemon end as after `shutdown`."""
        self.stopping.set()

    @property
    def playing(self) -> str | None:
        """The track that plays, here or in the daemon that plays for this one."""
        elsewhere = self.sharing.elsewhere if self.sharing is not None else None
        if elsewhere is not None:
            return elsewhere.track_id
        track = self.playback.playing
        return track.track_id if track is not None else None
