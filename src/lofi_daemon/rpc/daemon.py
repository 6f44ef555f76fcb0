"""The parts of the house as the methods see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.rpc.messages import PlayerState
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.tracks import TrackCache


@dataclass(eq=False)
class Daemon:
    """What serves one client. Made and used inside the event loop."""

    settings: Settings
    registry: Registry
    tracks: TrackCache
    jobs: Jobs
    notifier: Notifier
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    player_state: Callable[[], PlayerState] = PlayerState
    playlist: Callable[[], list[str]] = list
    radio_state: Callable[[], dict[str, Any] | None] = lambda: None

    def stop(self) -> None:
        """Have the daemon end as after `shutdown`."""
        self.stopping.set()

    def protected_tracks(self) -> frozenset[str]:
        """Tracks that must not be evicted: the one that plays and those that will."""
        playing = self.player_state().track_id
        return frozenset(self.playlist()) | ({playing} if playing is not None else set[str]())
