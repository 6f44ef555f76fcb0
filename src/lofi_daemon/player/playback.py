"""Playback as the listener sees it: tracks, a playlist, what comes next.

Everything here runs in the daemon's event loop. The player process sounds; this decides, keeps the
playlist, and publishes what happens as events.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError, LofiError, TrackNotFound
from lofi_daemon.player.events import (
    DeviceLost,
    Ended,
    PlayerEvent,
    Started,
    Stopped,
)
from lofi_daemon.player.gain import playback_gain
from lofi_daemon.player.playback_events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackSilent,
    PlaybackStarted,
    PlayerStatus,
)
from lofi_daemon.player.playlist import Loop, Playlist
from lofi_daemon.player.process import Item, PlayerProcess
from lofi_daemon.tracks import Track, TrackCache

log = logging.getLogger(__name__)

REMEMBERED_TURNS = 1000

Origin = Literal["asked", "loop", "playlist", "radio"]


@dataclass(frozen=True)
class Turn:
    """One turn of one track at sounding."""

    entry: int
    track: Track
    origin: Origin


class Radio(Protocol):
    """Who is asked for the next track when the playlist is at its end."""

    async def next_track(self, *, silent: bool) -> str | None: ...

    def started(self, track_id: str) -> None: ...

    def unplayable(self, track_id: str) -> None: ...


class Playback:
    """Methods raise TrackNotFound, AudioDeviceError and AudioPlaybackError."""

    def __init__(self, tracks: TrackCache, *, device: str | None = None) -> None:
        self.playlist = Playlist()
        self.loop: Loop = "off"
        self.radio: Radio | None = None
        self.player = PlayerProcess(self._on_player_event, device=device)
        self._tracks = tracks
        self._listeners: list[Callable[[PlaybackEvent], None]] = []
        self._turns: dict[int, Turn] = {}
        self._entries = 0
        self._playing: Turn | None = None
        self._next: Turn | None = None
        self._next_may_be_another = False
        self._deciding = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.last_track_id: str | None = None
        self.stopped_by_listener = False

    def subscribe(self, listener: Callable[[PlaybackEvent], None]) -> None:
        self._listeners.append(listener)

    @property
    def playing(self) -> Track | None:
        """The track that sounds or is paused."""
        return self._playing.track if self._playing is not None else None

    @property
    def playing_is_asked_for(self) -> bool:
        """Whether the listener chose the playing track, and not the radio."""
        return self._playing is not None and self._playing.origin != "radio"

    @property
    def silent(self) -> bool:
        return self.player.state == "stopped"

    def protected(self) -> set[str]:
        """Tracks that must not be evicted: what plays, what comes next, the playlist.

        Any thread may ask.
        """
        turns = (self._playing, self._next)
        return {turn.track.track_id for turn in turns if turn is not None} | set(
            self.playlist.track_ids
        )

    def status(self) -> PlayerStatus:
        track = self.playing
        return PlayerStatus(
            state=self.player.state,
            track_id=track.track_id if track is not None else None,
            prompt=track.prompt if track is not None else None,
            position_sec=round(self.player.position_sec, 3),
            duration_sec=self.player.duration_sec,
            volume=self.player.volume,
            crossfade_sec=self.player.crossfade_sec,
            loop=self.loop,
            device=self.player.device,
        )

    # -- what a listener can do ----------------------------------------------------------------

    async def play(self, track_id: str | None = None) -> None:
        """Play this track now. Without one: go on where it stopped, or play what is next.

        What is next is the playlist, then the radio, then the newest track.
        """
        if track_id is not None:
            await self.play_now(track_id)
        elif self.player.state == "paused":
            await self.resume()
        elif self.player.state == "stopped":
            await self._play_what_is_next()

    async def _play_what_is_next(self) -> None:
        while (choice := await self._choose(silent=True)) is not None:
            try:
                await self.play_now(*choice)
                return
            except (TrackNotFound, AudioPlaybackError) as error:
                self._pass_over(*choice, error)
        await self.play_now(await self._newest())

    async def play_now(self, track_id: str, origin: Origin = "asked") -> None:
        track = await self._find(track_id)
        async with self._deciding:
            turn = self._new_turn(track, origin)
            try:
                await self.player.play(self._item(turn))
            except AudioPlaybackError:
                self._turns.pop(turn.entry, None)
                raise

    async def pause(self) -> None:
        if self.player.state == "playing":
            await self.player.pause()
            self._publish_position(PlaybackPaused)

    async def resume(self) -> None:
        if self.player.state == "paused":
            await self.player.resume()
            self._publish_position(PlaybackResumed)

    async def stop(self) -> None:
        self.stopped_by_listener = True
        await self.player.stop()

    async def skip(self) -> None:
        """Cross over to the next track; at the end of everything this is the end."""
        if self._next is None or self._next_may_be_another:
            await self._choose_next()
        await self.player.skip()

    async def seek(self, position_sec: float) -> None:
        await self.player.seek(min(position_sec, self.player.duration_sec))

    async def set_loop(self, loop: Loop) -> None:
        self.loop = loop
        self.next_may_have_changed()

    async def add_to_playlist(self, track_ids: Iterable[str]) -> None:
        wanted = list(track_ids)
        for track_id in wanted:
            await self._find(track_id)
        self._set_playlist(self.playlist.added(wanted))

    def remove_from_playlist(self, track_ids: Iterable[str]) -> None:
        self._set_playlist(self.playlist.removed(list(track_ids)))

    def clear_playlist(self) -> None:
        self._set_playlist(Playlist())

    async def close(self) -> None:
        await self.player.close()
        for task in list(self._tasks):
            task.cancel()

    # -- what comes next -----------------------------------------------------------------------

    def next_may_have_changed(self) -> None:
        """Choose again what follows the playing track, soon."""
        self._next_may_be_another = True
        self._spawn(self._choose_next())

    async def _choose_next(self) -> None:
        async with self._deciding:
            await self._settle_next()

    async def _settle_next(self) -> None:
        """Make the player know what comes next; what cannot be played is told and passed over."""
        while self.player.state != "stopped":
            self._next_may_be_another = False
            choice = await self._choose(silent=False)
            if self._next is not None and choice == (self._next.track.track_id, self._next.origin):
                return
            self._next = None
            if choice is None:
                await self.player.set_next(None)
                return
            track_id, origin = choice
            try:
                turn = self._new_turn(await self._find(track_id), origin)
                await self.player.set_next(self._item(turn))
            except (TrackNotFound, AudioPlaybackError) as error:
                self._pass_over(track_id, origin, error)
                continue
            self._next = turn
            return

    async def _choose(self, *, silent: bool) -> tuple[str, Origin] | None:
        if self.loop == "track" and self._playing is not None:
            return self._playing.track.track_id, "loop"
        asked = self.playlist.next("off")
        if asked is not None:
            return asked, "playlist"
        if self.radio is not None:
            track_id = await self.radio.next_track(silent=silent)
            if track_id is not None:
                return track_id, "radio"
        again = self.playlist.next(self.loop)
        return (again, "playlist") if again is not None else None

    async def _newest(self) -> str:
        tracks = await asyncio.to_thread(self._tracks.tracks)
        if not tracks:
            raise TrackNotFound("There is no track to play yet.", hint="Generate one first.")
        return tracks[0].track_id

    def _pass_over(self, track_id: str, origin: Origin, error: LofiError) -> None:
        if not isinstance(error, AudioPlaybackError):
            error = AudioPlaybackError(error.message)
        self._publish(PlaybackEnded(track_id, "error", error))
        if origin == "playlist":
            self.playlist = self.playlist.removed([track_id])
        elif origin == "loop":
            self.loop = "off"
        elif self.radio is not None:
            self.radio.unplayable(track_id)

    def _set_playlist(self, playlist: Playlist) -> None:
        self.playlist = playlist
        self.next_may_have_changed()

    # -- what the player reports ---------------------------------------------------------------

    def _on_player_event(self, event: PlayerEvent) -> None:
        if isinstance(event, Started):
            self._on_started(event)
        elif isinstance(event, Ended):
            self._on_ended(event)
        elif isinstance(event, Stopped):
            self._playing = self._next = None
            self._publish(PlaybackSilent())
        elif isinstance(event, DeviceLost) and self._playing is not None:
            lost = AudioDeviceError(event.message)
            self._publish(PlaybackEnded(self._playing.track.track_id, "error", lost))

    def _on_started(self, event: Started) -> None:
        turn = self._turns.get(event.entry)
        if turn is None:
            return
        again = turn is self._playing
        self._playing = turn
        self.last_track_id = turn.track.track_id
        self.stopped_by_listener = False
        if turn is self._next:
            self._next = None
        self._publish(
            PlaybackStarted(
                turn.track.track_id,
                turn.track.prompt,
                round(event.position_sec, 3),
                event.duration_sec,
            )
        )
        if again:  # the player was started anew and goes on where it was
            return
        if turn.origin != "loop":
            self.playlist = self.playlist.reached(turn.track.track_id)
        if self.radio is not None:
            self.radio.started(turn.track.track_id)
        self.next_may_have_changed()
        self._spawn(self._note_played(turn.track.track_id))

    def _on_ended(self, event: Ended) -> None:
        turn = self._turns.pop(event.entry, None)
        if turn is None:
            return
        error = AudioPlaybackError(event.message or "") if event.reason == "error" else None
        self._publish(PlaybackEnded(turn.track.track_id, event.reason, error))

    async def _note_played(self, track_id: str) -> None:
        try:
            await asyncio.to_thread(self._tracks.played, track_id)
        except LofiError as error:
            log.warning("%s", error.message)

    def _publish_position(self, kind: type[PlaybackStarted]) -> None:
        track = self.playing
        if track is not None:
            position_sec = round(self.player.position_sec, 3)
            self._publish(
                kind(track.track_id, track.prompt, position_sec, self.player.duration_sec)
            )

    def _publish(self, event: PlaybackEvent) -> None:
        for listener in self._listeners:
            listener(event)

    # -- small change --------------------------------------------------------------------------

    async def _find(self, track_id: str) -> Track:
        track = await asyncio.to_thread(self._tracks.find, track_id)
        if track is None:
            raise TrackNotFound(f"There is no track '{track_id[:64]}'.", track_id=track_id[:64])
        return track

    def _new_turn(self, track: Track, origin: Origin) -> Turn:
        self._entries += 1
        turn = Turn(self._entries, track, origin)
        self._turns[turn.entry] = turn
        # what was meant to come next may have begun at this very moment, so forget slowly
        self._turns.pop(turn.entry - REMEMBERED_TURNS, None)
        return turn

    def _item(self, turn: Turn) -> Item:
        return Item(turn.entry, self._tracks.path(turn.track), playback_gain(turn.track))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Nobody waits for this work: what goes wrong is told as an event or in the log."""
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await work
            except LofiError as error:
                log.warning("%s", error.message)
            except Exception:  # the boundary: a defect stays with this piece of work
                log.exception("Playback stumbled")
