"""What the methods work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from lofi_daemon.aside import aside
from lofi_daemon.house import House
from lofi_daemon.models.download_processes import DownloadProcesses
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.sharing import Here, Sharing
from lofi_daemon.tracks.growing import GrowingTrack

# A disk that does not answer in this time answers no request either.
REHEARSAL_SEC = 10.0


@dataclass(eq=False)
class Daemon(House):
    """The house of one client, and who is told of it. Made and used inside the event loop."""

    notifier: Notifier
    downloads: DownloadProcesses
    sharing: Sharing | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _rehearsal: asyncio.Future[bool] | None = None

    def stop(self) -> None:
        """Have the daemon end as after `shutdown`."""
        self.stopping.set()

    @property
    def rehearsed(self) -> bool:
        """Whether asking the models holds nobody up."""
        return self._rehearsal is not None and self._rehearsal.done()

    async def rehearse(self, first: Callable[[], Awaitable[None]]) -> None:
        """Once: do `first`, then load beside the loop what asking the models loads first."""
        if self._rehearsal is None:
            self._rehearsal = asyncio.ensure_future(self._rehearse(first))
        await asyncio.shield(self._rehearsal)

    async def _rehearse(self, first: Callable[[], Awaitable[None]]) -> bool:
        await first()
        return await aside(self.registry.rehearse, REHEARSAL_SEC)

    @property
    def leads(self) -> bool:
        """Whether the music plays here."""
        return self.sharing is None or self.sharing.leads

    async def play(self, track_id: str) -> None:
        """Play a finished track, wherever the music plays. Raises LofiError."""
        if self.sharing is not None:
            try:
                await self.sharing.ask("play", {"track_id": track_id})
                return
            except Here:
                pass
        await self.playback.play_now(track_id)

    async def play_early(self, track: GrowingTrack) -> None:
        """Play a track that is being made here, wherever the music plays. Raises LofiError."""
        if self.sharing is not None:
            try:
                await self.sharing.ask("play_growing", _said(track))
                return
            except Here:
                pass
        await self.playback.play_now(track.track_id)

    @property
    def playing(self) -> str | None:
        """The track that plays, here or in the daemon that plays for this one."""
        elsewhere = self.sharing.elsewhere if self.sharing is not None else None
        if elsewhere is not None:
            return elsewhere.track_id
        playing = self.playback.table.playing
        return playing.track_id if playing is not None else None


def _said(track: GrowingTrack) -> dict[str, Any]:
    """The parameters of `play_growing`."""
    named = {"track_id": track.track_id, "prompt": track.prompt, "path": str(track.path)}
    return named | asdict(track.growth)
