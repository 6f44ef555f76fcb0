"""What plays, as one daemon hands it to the next: taken from one house, put on in another."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lofi_daemon.errors import LofiError
from lofi_daemon.player.playback import Playback
from lofi_daemon.player.playlist import Loop, Playlist
from lofi_daemon.player.table import Adjust, ChangeDevice, Want
from lofi_daemon.radio import Library, Order, Programme, RadioState
from lofi_daemon.station import Station


class RadioMusic(BaseModel):
    """A radio, and how far it is."""

    model_config = ConfigDict(frozen=True)

    prompts: tuple[str, ...]
    seed: int
    order: Order
    ahead: int
    library: Library | None
    made: int
    ready: list[str]
    preset: str | None
    sound: dict[str, Any]


class Music(BaseModel):
    """Everything that the listener would miss; `at` is the time of day of the position.

    needed: the tracks that must not be evicted.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["playing", "paused", "stopped"]
    track_id: str | None
    position_sec: float
    at: float
    playlist: tuple[str, ...]
    playlist_position: int
    loop: Loop
    volume: float
    muted: bool
    crossfade_sec: float
    device: str | None
    stops_in_sec: float | None
    radio: RadioMusic | None
    needed: list[str]


def taken(playback: Playback, station: Station) -> Music:
    """The music of this house at this moment."""
    table, playlist = playback.table, playback.playlist
    return Music(
        state=table.state,
        track_id=table.playing.track_id if table.playing is not None else None,
        position_sec=playback.turntable.position_sec,
        at=time.time(),
        playlist=playlist.track_ids,
        playlist_position=playlist.position,
        loop=playback.loop,
        volume=table.volume,
        muted=table.muted,
        crossfade_sec=table.crossfade_sec,
        device=table.device,
        stops_in_sec=playback.sleep.left_sec,
        radio=_radio(station),
        needed=sorted(playback.protected() | station.protected()),
    )


def _radio(station: Station) -> RadioMusic | None:
    status = station.status
    if status is None:
        return None
    programme, state = status.programme, status.state
    return RadioMusic(
        prompts=programme.prompts,
        seed=programme.seed,
        order=programme.order,
        ahead=programme.ahead,
        library=programme.library,
        # what is on its way here is made anew there
        made=state.made - (state.making is not None and state.made > 0),
        ready=list(state.ready),
        preset=status.preset,
        sound=status.sound.model_dump(exclude_unset=True),
    )


async def put_on(music: Music, playback: Playback, station: Station) -> None:
    """Go on with it here. Raises LofiError where it cannot be played on."""
    passed_sec = max(0.0, time.time() - music.at)
    playback.restore(
        Playlist(music.playlist, music.playlist_position),
        music.loop,
        (
            Adjust(music.volume, music.muted, music.crossfade_sec),
            ChangeDevice(music.device),
            Want(music.state != "stopped"),
        ),
    )
    if music.track_id is not None and music.state != "stopped":
        playing = music.state == "playing"
        position_sec = music.position_sec + (passed_sec if playing else 0.0)
        try:
            await playback.go_on(music.track_id, position_sec, paused=not playing)
        except LofiError:
            if music.radio is None:
                raise
    if music.radio is not None:
        radio = music.radio
        programme = Programme(radio.prompts, radio.seed, radio.order, radio.ahead, radio.library)
        state = RadioState(programme, made=radio.made, ready=list(radio.ready))
        station.go_on(state, radio.sound, preset=radio.preset)
    if music.stops_in_sec is not None and music.state == "playing":
        playback.sleep.set(max(0.0, music.stops_in_sec - passed_sec))
