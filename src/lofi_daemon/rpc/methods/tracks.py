"""The finished tracks: tracks_list, tracks_keep, tracks_delete."""

from __future__ import annotations

import asyncio

from lofi_daemon.errors import InvalidParams
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import (
    TrackIdsParameters,
    TrackResult,
    TracksDeleteResult,
    TracksKeepParameters,
    TracksKeepResult,
    TracksListParameters,
    TracksListResult,
)


async def tracks_list(daemon: Daemon, params: TracksListParameters) -> TracksListResult:
    tracks, total = await asyncio.to_thread(
        daemon.tracks.page, params.query, params.limit, params.offset
    )
    return TracksListResult(
        tracks=[
            TrackResult(path=str(daemon.tracks.path(track)), **track.model_dump())
            for track in tracks
        ],
        total=total,
    )


async def tracks_keep(daemon: Daemon, params: TracksKeepParameters) -> TracksKeepResult:
    changed = await asyncio.to_thread(daemon.tracks.keep, params.track_ids, params.kept)
    return TracksKeepResult(track_ids=[track.track_id for track in changed], kept=params.kept)


async def tracks_delete(daemon: Daemon, params: TrackIdsParameters) -> TracksDeleteResult:
    playing = daemon.playing
    if playing is not None and playing in params.track_ids:
        raise InvalidParams(
            f"Track '{playing}' is playing and cannot be deleted.",
            hint="Stop it, or skip to another track, first.",
            track_id=playing,
        )
    deleted, freed = await asyncio.to_thread(daemon.tracks.delete, params.track_ids)
    return TracksDeleteResult(deleted=deleted, bytes_freed=freed)


METHODS = [
    Method("tracks_list", TracksListParameters, TracksListResult, tracks_list),
    Method("tracks_keep", TracksKeepParameters, TracksKeepResult, tracks_keep),
    Method("tracks_delete", TrackIdsParameters, TracksDeleteResult, tracks_delete),
]
