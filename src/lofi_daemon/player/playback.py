"""Playback as the listener sees it: tracks, a playlist, what comes next.

Everything here runs in the daemon's event loop. What plays is the turntable's to know; this decides
what follows, keeps the playlist, and publishes what happens as events.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lofi_daemon.errors import AudioPlaybackError, LofiError, TrackNotFound
from lofi_daemon.player.events import PlaybackEnded, PlaybackEvent, PlaybackStarted
from lofi_daemon.player.files import Files, KnownFile, path_of
from lofi_daemon.player.gain import playback_gain
from lofi_daemon.player.playlist import Loop, Playlist
from lofi_daemon.player.sleep import SleepTimer
from lofi_daemon.player.table import LineUp, Step, Table, Want
from lofi_daemon.player.turn import Origin, Turn
from lofi_daemon.player.turntable import Turntable
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)


# Later in a track, going back goes to its beginning.
AT_THE_BEGINNING_SEC = 3.0


class Radio(Protocol):
    """Who is asked for the next track when the playlist is at its end."""

    async def next_track(self, *, silent: bool) -> str | None: ...

    def started(self, track_id: str, origin: Origin) -> None: ...

    def passed_over(self, track_id: str | None) -> None: ...

    def unplayable(self, track_id: str) -> None: ...


class Playback:
    """Methods raise TrackNotFound, AudioDeviceError and AudioPlaybackError."""

    def __init__(self, tracks: TrackCache, *, device: str | None = None) -> None:
        self.playlist = Playlist()
        self.loop: Loop = "off"
        self.turntable = Turntable(self._on_told, device=device, on_changed=self._on_changed)
        self.sleep = SleepTimer(self.turntable, self.stop, self._on_changed)
        self.files = Files(self._on_measured)
        self._radio: Radio | None = None
        self._tracks = tracks
        self._listeners: list[Callable[[PlaybackEvent], None]] = []
        self._watchers: list[Callable[[], None]] = []
        self._entries = itertools.count(1)
        self._growing: dict[str, GrowingTrack] = {}
        self._next_may_be_another = False
        self._stops = 0
        self._deciding = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def subscribe(self, listener: Callable[[PlaybackEvent], None]) -> None:
        self._listeners.append(listener)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called after every change of what plays, comes next or is set."""
        self._watchers.append(watcher)

    @property
    def table(self) -> Table:
        """What plays."""
        return self.turntable.table

    @property
    def playing(self) -> Track | None:
        """The track that sounds or is paused; None for a file that is none."""
        return self.table.playing.track if self.table.playing is not None else None

    @property
    def silent(self) -> bool:
        return self.table.state == "stopped"

    def protected(self) -> set[str]:
        """Tracks that must not be evicted: what plays, what comes next, the playlist.

        Any thread may ask.
        """
        return {*self.table.needed, *self.playlist.track_ids}

    # -- the radio -----------------------------------------------------------------------------

    async def tune_in(self, radio: Radio) -> None:
        """Ask this radio from now on; what is paused goes on."""
        self.turntable.step(Want(True))
        await self.resume()
        self.follow(radio)

    def follow(self, radio: Radio) -> None:
        """Ask this radio from now on."""
        self._radio = radio
        self.next_may_have_changed()

    def tune_out(self) -> None:
        """What plays goes on, to the end of the playlist."""
        self._radio = None
        self.next_may_have_changed()

    # -- what a listener can do ----------------------------------------------------------------

    async def play(self, track_id: str | None = None) -> None:
        """Play this track now. Without one: go on where it stopped, or play what is next.

        What is next is the playlist, then the radio, then the newest track.
        """
        if track_id is not None:
            await self.play_now(track_id)
        elif self.table.state == "paused":
            await self.resume()
        elif self.silent:
            await self._play_what_is_next()

    async def _play_what_is_next(self) -> None:
        stops = self._stops
        while (choice := await self._choose(silent=True)) is not None:
            if self._stops != stops:
                return
            try:
                await self.play_now(*choice)
                return
            except (TrackNotFound, AudioPlaybackError) as error:
                self._pass_over(*choice, error)
        await self.play_now(await self._newest())

    async def play_now(self, track_id: str, origin: Origin = "asked") -> None:
        """Play this track; who stops the music before it sounds has taken that back."""
        stops = self._stops
        turn = await self._turn(track_id, origin)
        async with self._deciding:
            if self._stops != stops:
                return
            try:
                await self.turntable.play(turn)
            except AudioPlaybackError:
                if turn.growing is None or track_id in self._growing:
                    raise
                # it was finished in this moment
                await self.turntable.play(await self._turn(track_id, origin))

    async def play_files(self, files: Sequence[str]) -> None:
        """Play files, named by their file: addresses, in the place of the playlist.

        What cannot be played is told and passed over. Raises the last one's error when none can.
        """
        self._set_playlist(Playlist(tuple(files)))
        for place, file in enumerate(files, start=1):
            try:
                await self.play_now(file, "playlist")
                return
            except (TrackNotFound, AudioPlaybackError) as error:
                if place == len(files):
                    self._set_playlist(Playlist())
                    raise
                self._pass_over(file, "playlist", error)

    async def pause(self) -> None:
        await self.turntable.pause()

    async def resume(self) -> None:
        await self.turntable.resume()

    async def stop(self) -> None:
        self._stops += 1
        self.sleep.set(None)
        self.turntable.step(Want(False))
        await self.turntable.stop()

    async def skip(self) -> None:
        """Cross over to the next track; at the end of everything this is the end.

        A radio has no end: where its next track is not there yet, what plays goes on.
        """
        if self.table.next is None or self._next_may_be_another:
            await self._choose_next()
        if self.table.next is None and self._radio is not None:
            playing = self.table.playing
            self._radio.passed_over(playing.track_id if playing is not None else None)
            return
        await self.turntable.skip()

    async def previous(self) -> None:
        """To the beginning of the track, and from there to the track before it."""
        table = self.table
        if table.playing is not None and self.turntable.position_sec > AT_THE_BEGINNING_SEC:
            await self.seek(0.0)
            return
        before = table.history
        if table.playing is None and table.last is not None:
            before = (*before, table.last.track_id)
        for track_id in reversed(before):
            try:
                await self.play_now(track_id, "previous")
                return
            except TrackNotFound:
                continue
        if table.playing is None:
            raise TrackNotFound("Nothing was played before.", hint="Play a track first.")
        await self.seek(0.0)

    async def seek(self, position_sec: float) -> None:
        await self.turntable.seek(min(position_sec, self.table.duration_sec))

    async def set_loop(self, loop: Loop) -> None:
        self.loop = loop
        self.next_may_have_changed()

    async def add_to_playlist(self, track_ids: Iterable[str]) -> None:
        wanted = list(track_ids)
        for track_id in wanted:
            await self._turn(track_id, "playlist")
        self._set_playlist(self.playlist.added(wanted))

    def remove_from_playlist(self, track_ids: Iterable[str]) -> None:
        self._set_playlist(self.playlist.removed(list(track_ids)))

    def clear_playlist(self) -> None:
        self._set_playlist(Playlist())

    async def close(self) -> None:
        self.sleep.set(None)
        self.files.listen_to(None)
        await self.turntable.close()
        for task in list(self._tasks):
            task.cancel()

    # -- going on with another daemon's music --------------------------------------------------

    def restore(self, playlist: Playlist, loop: Loop, steps: Iterable[Step]) -> None:
        """Take over what was set there; what played is `go_on`'s."""
        self.playlist, self.loop = playlist, loop
        for step in steps:
            self.turntable.step(step)

    async def go_on(self, track_id: str, position_sec: float, *, paused: bool) -> None:
        """Play this track from there, or be paused there."""
        turn = await self._turn(track_id, "asked")
        async with self._deciding:
            await self.turntable.play(turn, position_sec=position_sec, paused=paused)

    # -- tracks that are still being made ------------------------------------------------------

    def growing(self, track_id: str) -> GrowingTrack | None:
        """What can be played of this track while it is being made."""
        return self._growing.get(track_id)

    def grows(self, track: GrowingTrack) -> None:
        """From now on this track can be played, though it is not whole yet."""
        self._growing[track.track_id] = track

    def settled(self, track: Track) -> None:
        """A track that grew is whole: whoever plays it goes on in its file."""
        if self._growing.pop(track.track_id, None) is None:
            return
        path, gain = self._tracks.path(track), playback_gain(track)
        for turn in self._growing_turns(track.track_id):
            whole = replace(turn, path=path, gain=gain, track=track, growing=None)
            self._spawn(self.turntable.settle(whole))
        if track.track_id in (*self.table.history, *self._heard_last):
            self._spawn(self._note_played(track.track_id))

    def forsaken(self, track_id: str, reason: str, message: str | None = None) -> None:
        """A track that grew will never be whole: it leaves, and what is next follows.

        reason: "cancelled", or "error" and what went wrong.
        """
        if self._growing.pop(track_id, None) is None:
            return
        for turn in self._growing_turns(track_id):
            self._spawn(self.turntable.leave(turn, reason, message))
        self.next_may_have_changed()

    def _growing_turns(self, track_id: str) -> list[Turn]:
        turns = {turn.entry: turn for turn in self.table.turns if turn.growing is not None}
        return [turn for turn in turns.values() if turn.track_id == track_id]

    @property
    def _heard_last(self) -> tuple[str, ...]:
        return () if self.table.last is None else (self.table.last.track_id,)

    # -- what comes next -----------------------------------------------------------------------

    def next_may_have_changed(self) -> None:
        """Choose again what follows the playing track, soon."""
        self._on_changed()
        self._next_may_be_another = True
        self._spawn(self._choose_next())

    async def _choose_next(self) -> None:
        async with self._deciding:
            await self._settle_next()

    async def _settle_next(self) -> None:
        """Make the player know what comes next; what cannot be played is told and passed over."""
        while not self.silent:
            self._next_may_be_another = False
            choice = await self._choose(silent=False)
            following = self.table.next
            if (
                following is not None
                and choice == (following.track_id, following.origin)
                and following.join == following.join_after(self.table.playing)
            ):
                return
            # from now on a skip waits for the new choice
            self.turntable.step(LineUp(None))
            if choice is None:
                await self.turntable.set_next(None)
                return
            track_id, origin = choice
            try:
                turn = await self._turn(track_id, origin)
                turn = replace(turn, join=turn.join_after(self.table.playing))
                await self.turntable.set_next(turn)
            except (TrackNotFound, AudioPlaybackError) as error:
                self._pass_over(track_id, origin, error)
                continue
            return

    async def _choose(self, *, silent: bool) -> tuple[str, Origin] | None:
        if self.loop == "track" and self.table.playing is not None:
            return self.table.playing.track_id, "loop"
        asked = self.playlist.next("off")
        if asked is not None:
            return asked, "playlist"
        if self._radio is not None:
            track_id = await self._radio.next_track(silent=silent)
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
        self.cannot_be_played(track_id, error)
        if origin == "playlist":
            self.playlist = self.playlist.removed([track_id])
        elif origin == "loop":
            self.loop = "off"
        elif self._radio is not None:
            self._radio.unplayable(track_id)

    def cannot_be_played(self, track_id: str, error: LofiError) -> None:
        """Tell that this track does not sound, and why."""
        self._on_told(PlaybackEnded(track_id, "error", error))

    def _set_playlist(self, playlist: Playlist) -> None:
        self.playlist = playlist
        self.next_may_have_changed()

    # -- what the table tells ------------------------------------------------------------------

    def _on_told(self, event: PlaybackEvent) -> None:
        for listener in self._listeners:
            listener(event)
        if isinstance(event, PlaybackStarted) and not event.again:
            self._go_on_behind(event.turn)

    def _on_changed(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _go_on_behind(self, turn: Turn) -> None:
        if turn.origin != "loop":
            self.playlist = self.playlist.reached(turn.track_id)
        if self._radio is not None:
            self._radio.started(turn.track_id, turn.origin)
        self.next_may_have_changed()
        is_file = turn.track is None and turn.growing is None
        self.files.listen_to(turn.path if is_file else None)
        if turn.track is not None:
            self._spawn(self._note_played(turn.track_id))

    async def _note_played(self, track_id: str) -> None:
        try:
            await asyncio.to_thread(self._tracks.played, track_id)
        except LofiError as error:
            log.warning("%s", error.message)

    # -- small change --------------------------------------------------------------------------

    async def _turn(self, track_id: str, origin: Origin) -> Turn:
        """A turn of a track, or of a file. Raises TrackNotFound and AudioPlaybackError."""
        path = path_of(track_id)
        if path is not None:
            file = await self.files.look_at(path)
            return Turn(next(self._entries), path, file.gain, None, origin, file.title)
        track = await asyncio.to_thread(self._tracks.find, track_id)
        found = track if track is not None else self.growing(track_id)
        if found is None:
            raise TrackNotFound(f"There is no track '{track_id[:64]}'.", track_id=track_id[:64])
        if isinstance(found, GrowingTrack):  # it is levelled already
            return Turn(next(self._entries), found.path, 1.0, None, origin, growing=found)
        path = self._tracks.path(found)
        return Turn(next(self._entries), path, playback_gain(found), found, origin)

    def _on_measured(self, file: KnownFile) -> None:
        playing = self.table.playing
        if playing is not None and playing.path == file.path:
            self._spawn(self.turntable.set_level(playing.entry, file.gain))

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
