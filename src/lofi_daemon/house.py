"""Where the parts are put together, the same for an editor's daemon, a terminal and one track."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.early import EarlySound
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.player.playback import Playback
from lofi_daemon.radio.station import Station
from lofi_daemon.tracks import TrackCache


@dataclass(eq=False)
class House:
    """What makes music, keeps it and plays it. Made and used inside the event loop."""

    settings: Settings
    registry: Registry
    tracks: TrackCache
    jobs: Jobs
    playback: Playback
    early: EarlySound
    station: Station


def open_house(
    settings: Settings,
    registry: Registry,
    *,
    in_background: bool = True,
) -> House:
    """Nothing is read, started or heard by it.

    in_background: making tracks lets everything else on the machine go first.
    """
    tracks = TrackCache(settings.tracks_folder, settings.cache_max_bytes)
    jobs = Jobs(settings, registry, tracks, in_background=in_background)
    playback = Playback(tracks, device=settings.audio_device)
    early = EarlySound(jobs, playback, tracks)
    station = Station(jobs, playback, tracks, registry)
    tracks.protect(playback.protected)
    tracks.protect(station.protected)
    return House(settings, registry, tracks, jobs, playback, early, station)
