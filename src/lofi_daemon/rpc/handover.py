"""What plays, as one daemon hands it to the next: taken from one house, put on in another."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lofi_daemon.errors import LofiError
from lofi_daemon.player.playback import Playback
from lofi_daemon.player.playlist import Loop, Playlist
from lofi_daemon.player.table import Adjust, ChangeDevice, Remember, Want
from lofi_daemon.radio.programme import Library, Order, Programme, RadioState
from lofi_daemon.radio.station import Station

# How far a listener who counts on may be from what plays before he is told again.
COUNTED_SEC = 0.5


class RadioMusic(BaseModel):
    """A radio, and how far it is; latest: the track of its own that was made last."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    prompts: tuple[str, ...]
    seed: int
    order: Order
    ahead: int
    library: Library | None
    flow: bool = False
    made: int
    latest: str | None = None
    played: int = 0
    ready: list[str]
    preset: str | None
    sound: dict[str, Any]
    unplayable: list[str] = []


class Music(BaseModel):
    """Everything that the listener would miss; `at` is the time of day of the position.

    wanted: whether the listener waits for sound where nothing plays.
    heard_before: whether the playing track was, on another day or another time.
    history: the tracks before the playing one, oldest first. needed: the tracks that must not be
    evicted.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    state: Literal["playing", "paused", "stopped"]
    wanted: bool
    track_id: str | None
    prompt: str | None = None
    position_sec: float
    duration_sec: float = 0.0
    heard_before: bool = False
    at: float
    history: tuple[str, ...] = ()
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

    def position(self, now: float) -> float:
        """Seconds into the playing track at that time of day, counted on."""
        position = self.position_sec
        if self.state == "playing":
            position += max(0.0, now - self.at)
        return min(position, self.duration_sec) if self.duration_sec > 0 else position

    @property
    def stops_at(self) -> float | None:
        """The time of day at which the sleep timer stops it."""
        return None if self.stops_in_sec is None else self.at + self.stops_in_sec

    def is_as_told(self, before: Music) -> bool:
        """Whether somebody who was told `before` knows all this, having counted on."""
        counted = (
            (before.position(self.at), self.position_sec),
            (before.stops_at or 0.0, self.stops_at or 0.0),
        )
        if any(abs(one - other) > COUNTED_SEC for one, other in counted):
            return False
        uncounted = {"position_sec": 0.0, "at": 0.0, "stops_in_sec": None}
        return before.model_copy(update=uncounted) == self.model_copy(update=uncounted)


def taken(playback: Playback, station: Station) -> Music:
    """The music of this house at this moment."""
    table, playlist = playback.table, playback.playlist
    track = playback.playing
    history = table.history
    if table.playing is None and table.last is not None:
        history = (*history, table.last.track_id)
    return Music(
        state=table.state,
        wanted=table.wanted,
        track_id=table.playing.track_id if table.playing is not None else None,
        prompt=table.playing.prompt if table.playing is not None else None,
        position_sec=playback.turntable.position_sec,
        duration_sec=table.duration_sec,
        heard_before=track is not None and track.last_played_at is not None,
        at=time.time(),
        history=history,
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
        flow=programme.flow,
        latest=state.latest,
        # what is on its way here is made anew there
        made=state.made - (state.making is not None and state.made > 0),
        played=state.played,
        ready=list(state.ready),
        preset=status.preset,
        sound=status.sound.model_dump(exclude_unset=True),
        unplayable=sorted(status.unplayable),
    )


async def put_on(music: Music, playback: Playback, station: Station) -> None:
    """Go on with it here. Raises LofiError where it cannot be played on."""
    now = time.time()
    playback.restore(
        Playlist(music.playlist, music.playlist_position),
        music.loop,
        (
            Adjust(music.volume, music.muted, music.crossfade_sec),
            ChangeDevice(music.device),
            Want(music.wanted),
            Remember(music.history),
        ),
    )
    if music.track_id is not None and music.state != "stopped":
        playing = music.state == "playing"
        try:
            await playback.go_on(music.track_id, music.position(now), paused=not playing)
        except LofiError:
            if music.radio is None:
                raise
    if music.radio is not None:
        radio = music.radio
        programme = Programme(
            radio.prompts, radio.seed, radio.order, radio.ahead, radio.library, radio.flow
        )
        state = RadioState(
            programme,
            made=radio.made,
            latest=radio.latest,
            played=radio.played,
            ready=list(radio.ready),
        )
        station.go_on(state, radio.sound, preset=radio.preset, unplayable=radio.unplayable)
    if music.stops_at is not None and music.state == "playing":
        playback.sleep.set(max(0.0, music.stops_at - now))
