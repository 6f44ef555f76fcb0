"""What plays next: playlist_add, playlist_remove, playlist_clear, playlist_get."""

from __future__ import annotations

from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message, NoParameters
from lofi_daemon.rpc.methods.tracks import TrackIdsParameters


class PlaylistResult(Message):
    track_ids: list[str]


async def playlist_add(daemon: Daemon, params: TrackIdsParameters) -> PlaylistResult:
    await daemon.playback.add_to_playlist(params.track_ids)
    return _playlist(daemon)


def playlist_remove(daemon: Daemon, params: TrackIdsParameters) -> PlaylistResult:
    daemon.playback.remove_from_playlist(params.track_ids)
    return _playlist(daemon)


def playlist_clear(daemon: Daemon, params: NoParameters) -> PlaylistResult:
    daemon.playback.clear_playlist()
    return _playlist(daemon)


def playlist_get(daemon: Daemon, params: NoParameters) -> PlaylistResult:
    return _playlist(daemon)


def _playlist(daemon: Daemon) -> PlaylistResult:
    return PlaylistResult(track_ids=list(daemon.playback.playlist.track_ids))


METHODS = [
    Method("playlist_add", TrackIdsParameters, PlaylistResult, playlist_add, shared=True),
    Method("playlist_remove", TrackIdsParameters, PlaylistResult, playlist_remove, shared=True),
    Method("playlist_clear", NoParameters, PlaylistResult, playlist_clear, shared=True),
    Method("playlist_get", NoParameters, PlaylistResult, playlist_get, shared=True),
]
