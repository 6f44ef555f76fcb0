"""Playing: play, pause, resume, stop, skip, player_set, audio_devices and the playlist."""

from __future__ import annotations

from dataclasses import asdict

from lofi_daemon.player.playback_events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackSilent,
)
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import NoParameters, PlayerState, TrackIdsParameters
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.playback_messages import (
    AudioDevice,
    AudioDevicesResult,
    PlaybackEndedMessage,
    PlaybackPosition,
    PlayerSetParameters,
    PlaylistResult,
    PlayParameters,
    PlayResult,
)


async def play(daemon: Daemon, params: PlayParameters) -> PlayResult:
    await daemon.playback.play(params.track_id)
    state = daemon.playback.status()
    return PlayResult(track_id=state.track_id, position_sec=state.position_sec)


async def pause(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.pause()
    return player_state(daemon)


async def resume(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.resume()
    return player_state(daemon)


async def stop(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.stop()
    return player_state(daemon)


async def skip(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.skip()
    return player_state(daemon)


async def player_set(daemon: Daemon, params: PlayerSetParameters) -> PlayerState:
    playback = daemon.playback
    if "device" in params.model_fields_set:
        await playback.player.set_device(params.device)
    if params.volume is not None:
        await playback.player.set_volume(params.volume)
    if params.crossfade_sec is not None:
        await playback.player.set_crossfade(params.crossfade_sec)
    if params.loop is not None:
        await playback.set_loop(params.loop)
    if params.position_sec is not None:
        await playback.seek(params.position_sec)
    return player_state(daemon)


async def audio_devices(daemon: Daemon, params: NoParameters) -> AudioDevicesResult:
    player = daemon.playback.player
    devices = [AudioDevice(**device) for device in await player.devices()]
    return AudioDevicesResult(devices=devices, current=player.device)


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


def player_state(daemon: Daemon) -> PlayerState:
    return PlayerState(**asdict(daemon.playback.status()))


def tell_of_playback(notifier: Notifier, event: PlaybackEvent) -> None:
    """The notification of a playback event."""
    if isinstance(event, PlaybackSilent):
        return
    if isinstance(event, PlaybackEnded):
        message = PlaybackEndedMessage.model_validate(
            {"track_id": event.track_id, "reason": event.reason}
            | (
                {"code": event.error.name, "message": event.error.message}
                if event.error is not None
                else {}
            )
        )
        notifier.notify("playback_ended", message)
        return
    if isinstance(event, PlaybackPaused):
        method = "playback_paused"
    elif isinstance(event, PlaybackResumed):
        method = "playback_resumed"
    else:
        method = "playback_started"
    notifier.notify(method, PlaybackPosition(**asdict(event)))


METHODS = [
    Method("play", PlayParameters, PlayResult, play),
    Method("pause", NoParameters, PlayerState, pause),
    Method("resume", NoParameters, PlayerState, resume),
    Method("stop", NoParameters, PlayerState, stop),
    Method("skip", NoParameters, PlayerState, skip),
    Method("player_set", PlayerSetParameters, PlayerState, player_set),
    Method("audio_devices", NoParameters, AudioDevicesResult, audio_devices),
    Method("playlist_add", TrackIdsParameters, PlaylistResult, playlist_add),
    Method("playlist_remove", TrackIdsParameters, PlaylistResult, playlist_remove),
    Method("playlist_clear", NoParameters, PlaylistResult, playlist_clear),
    Method("playlist_get", NoParameters, PlaylistResult, playlist_get),
]
