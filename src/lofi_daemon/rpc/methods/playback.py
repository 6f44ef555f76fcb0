"""Playing: play, play_files, pause, resume, stop, skip, previous, player_set, audio_devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import FailFast, Field

from lofi_daemon.errors import InvalidParams
from lofi_daemon.files.temporary import stem_of
from lofi_daemon.parameters import Parameters
from lofi_daemon.player.events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackSilent,
    PlaybackStarted,
)
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message, NoParameters
from lofi_daemon.rpc.notifications import Tells
from lofi_daemon.sound.growth import Growth
from lofi_daemon.tracks.growing import GrowingTrack

FileAddress = Annotated[str, Field(pattern=r"^file:///", max_length=20_000)]


class PlayParameters(Parameters):
    track_id: str | None = Field(
        default=None, description="What to play. Default: go on, or what comes next."
    )


class PlayFilesParameters(Parameters):
    """Sound files in the place of the playlist; what cannot be played is passed over."""

    files: Annotated[list[FileAddress], FailFast()] = Field(
        min_length=1, max_length=10_000, description="file: addresses, which serve as track ids."
    )


class PlayGrowingParameters(Parameters):
    """A track that the daemon that asks is making, and the file in which it can be heard so far."""

    track_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    prompt: str
    path: str
    sample_rate: int = Field(ge=1)
    channels: int = Field(ge=1, le=2)
    frames: int = Field(ge=1)


class PlayerSetParameters(Parameters):
    """Only what is given changes; a device that is given as null is the system's default."""

    volume: float | None = Field(
        default=None, ge=0.0, le=1.0, allow_inf_nan=False, description="0 to 1."
    )
    crossfade_sec: float | None = Field(
        default=None,
        ge=0.0,
        le=12.0,
        allow_inf_nan=False,
        description="How long two tracks overlap, 0 to 12 seconds.",
    )
    loop: Literal["off", "track", "playlist"] | None = Field(
        default=None, description="What begins again at its end."
    )
    device: str | None = Field(
        default=None, description="A name of `audio_devices`; null: the system's default."
    )
    position_sec: float | None = Field(
        default=None, ge=0.0, allow_inf_nan=False, description="Go on from there."
    )
    muted: bool | None = Field(default=None, description="Silent; the volume stays what it is.")
    stops_in_sec: float | None = Field(
        default=None,
        ge=0.0,
        le=86_400.0,
        allow_inf_nan=False,
        description="Fade out and stop after that many seconds; null: go on. `stop` ends it too.",
    )


class PlayerState(Message):
    state: Literal["playing", "paused", "stopped"] = "stopped"
    track_id: str | None = None
    prompt: str | None = None
    position_sec: float = 0.0
    duration_sec: float = 0.0
    volume: float = 0.5
    crossfade_sec: float = 2.0
    loop: Literal["off", "track", "playlist"] = "off"
    device: str | None = None
    muted: bool = False
    stops_in_sec: float | None = None


class PlayResult(Message):
    track_id: str | None
    position_sec: float


class AudioDevice(Message):
    name: str
    is_default: bool


class AudioDevicesResult(Message):
    devices: list[AudioDevice]
    current: str | None


class PlaybackPosition(Message):
    """Of playback_paused and playback_resumed, and of playback_started among other things."""

    track_id: str
    prompt: str
    position_sec: float
    duration_sec: float


class PlaybackBegan(PlaybackPosition):
    """complete: false while the track is still being made; it is heard to its end as any other."""

    complete: bool


class PlaybackEndedMessage(Message):
    """code, message and hint are there when the reason is error."""

    track_id: str
    reason: Literal["finished", "skipped", "stopped", "cancelled", "error"]
    code: str | None = None
    message: str | None = None
    hint: str | None = None


async def play(daemon: Daemon, params: PlayParameters) -> PlayResult:
    await daemon.playback.play(params.track_id)
    return _plays(daemon)


async def play_files(daemon: Daemon, params: PlayFilesParameters) -> PlayResult:
    await daemon.playback.play_files(params.files)
    return _plays(daemon)


async def play_growing(daemon: Daemon, params: PlayGrowingParameters) -> PlayResult:
    path, folder = Path(params.path), daemon.settings.tracks_folder
    if stem_of(path.name) != params.track_id or path.parent.resolve() != folder.resolve():
        raise InvalidParams("path: this is no file of that track in the folder of tracks.")
    growth = Growth(params.sample_rate, params.channels, params.frames)
    track = GrowingTrack(params.track_id, params.prompt, path, growth)
    await daemon.early.play_for_another(track)
    return _plays(daemon)


async def pause(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.pause()
    return player_state(daemon)


async def resume(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.resume()
    return player_state(daemon)


async def stop(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.stop()
    return player_state(daemon)


def forget(daemon: Daemon) -> None:
    """What is being made for this client is not played when it can be heard."""
    daemon.early.forget()


async def skip(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.skip()
    return player_state(daemon)


async def previous(daemon: Daemon, params: NoParameters) -> PlayerState:
    await daemon.playback.previous()
    return player_state(daemon)


async def player_set(daemon: Daemon, params: PlayerSetParameters) -> PlayerState:
    playback = daemon.playback
    turntable = playback.turntable
    if "device" in params.model_fields_set:
        await turntable.set_device(params.device)
    if params.volume is not None:
        await turntable.set_volume(params.volume)
    if params.muted is not None:
        await turntable.set_muted(params.muted)
    if params.crossfade_sec is not None:
        await turntable.set_crossfade(params.crossfade_sec)
    if "stops_in_sec" in params.model_fields_set:
        playback.sleep.set(params.stops_in_sec)
    if params.loop is not None:
        await playback.set_loop(params.loop)
    if params.position_sec is not None:
        await playback.seek(params.position_sec)
    return player_state(daemon)


async def audio_devices(daemon: Daemon, params: NoParameters) -> AudioDevicesResult:
    turntable = daemon.playback.turntable
    devices = [AudioDevice(**device) for device in await turntable.devices()]
    return AudioDevicesResult(devices=devices, current=turntable.table.device)


def _plays(daemon: Daemon) -> PlayResult:
    state = player_state(daemon)
    return PlayResult(track_id=state.track_id, position_sec=state.position_sec)


def player_state(daemon: Daemon) -> PlayerState:
    playback = daemon.playback
    table, sleeps_in_sec = playback.table, playback.sleep.left_sec
    playing = table.playing
    return PlayerState(
        state=table.state,
        track_id=playing.track_id if playing is not None else None,
        prompt=playing.prompt if playing is not None else None,
        position_sec=round(playback.turntable.position_sec, 3),
        duration_sec=table.duration_sec,
        volume=table.volume,
        crossfade_sec=table.crossfade_sec,
        loop=playback.loop,
        device=table.device,
        muted=table.muted,
        stops_in_sec=None if sleeps_in_sec is None else round(sleeps_in_sec, 1),
    )


def tell_of_playback(notifier: Tells, event: PlaybackEvent) -> None:
    """The notification of a playback event."""
    if isinstance(event, PlaybackSilent):
        return
    if isinstance(event, PlaybackEnded):
        message = PlaybackEndedMessage.model_validate(
            {"track_id": event.track_id, "reason": event.reason}
            | (
                {
                    "code": event.error.name,
                    "message": event.error.message,
                    "hint": event.error.hint,
                }
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
    position = PlaybackPosition(
        track_id=event.turn.track_id,
        prompt=event.turn.prompt,
        position_sec=round(event.position_sec, 3),
        duration_sec=event.duration_sec,
    )
    if isinstance(event, PlaybackStarted):
        complete = event.turn.growing is None
        position = PlaybackBegan(**position.model_dump(), complete=complete)
    notifier.notify(method, position)


def tell_what_plays(daemon: Daemon, notifier: Tells) -> None:
    """Tell somebody who comes later what began before."""
    table, position_sec = daemon.playback.table, daemon.playback.turntable.position_sec
    if table.playing is not None:
        started = PlaybackStarted(table.playing, position_sec, table.duration_sec)
        tell_of_playback(notifier, started)
        if table.state == "paused":
            paused = PlaybackPaused(table.playing, position_sec, table.duration_sec)
            tell_of_playback(notifier, paused)


METHODS = [
    Method("play", PlayParameters, PlayResult, play, shared=True),
    Method("play_files", PlayFilesParameters, PlayResult, play_files, shared=True),
    Method("pause", NoParameters, PlayerState, pause, shared=True),
    Method("resume", NoParameters, PlayerState, resume, shared=True),
    Method("stop", NoParameters, PlayerState, stop, shared=True, here=forget),
    Method("skip", NoParameters, PlayerState, skip, shared=True),
    Method("previous", NoParameters, PlayerState, previous, shared=True),
    Method("player_set", PlayerSetParameters, PlayerState, player_set, shared=True),
    Method("audio_devices", NoParameters, AudioDevicesResult, audio_devices, shared=True),
]
BETWEEN_DAEMONS = [
    Method("play_growing", PlayGrowingParameters, PlayResult, play_growing, between=True)
]
NOTIFICATIONS: dict[str, type[Message]] = {
    "playback_started": PlaybackBegan,
    "playback_paused": PlaybackPosition,
    "playback_resumed": PlaybackPosition,
    "playback_ended": PlaybackEndedMessage,
}
