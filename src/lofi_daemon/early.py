"""Between those who make tracks and those who play them: what is heard as soon as it may be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

from lofi_daemon.errors import LofiError
from lofi_daemon.files.temporary import is_abandoned
from lofi_daemon.jobs.events import JobAdvanced, JobAudible, JobCancelled, JobCompleted, JobEvent
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.player.playback import Playback
from lofi_daemon.text import shown
from lofi_daemon.tracks import TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)

# How soon it is noticed that a track is whole, or given up, that another daemon makes.
LOOK_SEC = 0.1

When = Literal["early", "ready"]
"""early: as soon as the rest will be there before it is heard; ready: when the track is whole."""


class EarlySound:
    """Lets playback know of tracks that grow, and plays those that somebody waits for.

    Lives in the event loop.
    """

    def __init__(self, jobs: Jobs, playback: Playback, tracks: TrackCache) -> None:
        self._playback = playback
        self._tracks = tracks
        self._kept: set[str] = set()
        # Being begun early and not forgotten; with what is to be said of it, once it is whole.
        self._beginning: dict[str, str | None] = {}
        self._play: Callable[[str], Awaitable[object]] = playback.play_now
        self._play_early: Callable[[GrowingTrack], Awaitable[object]] = self._play_here
        self._wanted: dict[str, When] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        jobs.subscribe(self._on_job_event)

    def share(
        self,
        play: Callable[[str], Awaitable[object]],
        play_early: Callable[[GrowingTrack], Awaitable[object]],
    ) -> None:
        """The music may play elsewhere: these play a track, finished or growing, where that is.

        Both raise LofiError.
        """
        self._play, self._play_early = play, play_early

    def want(self, track_id: str, when: When) -> None:
        """Play this track when it can be heard, which may be now."""
        growing = self._playback.growing(track_id)
        if when == "early" and growing is not None:
            self._begin_early(growing)
        elif self._wanted.get(track_id) != "early":
            self._wanted[track_id] = when

    def keep(self, track_id: str, kept: bool) -> bool:
        """Keep a track that can be heard already as soon as it is whole; False for any other."""
        if self._playback.growing(track_id) is None:
            return False
        if kept:
            self._kept.add(track_id)
        else:
            self._kept.discard(track_id)
        return True

    def forget(self) -> None:
        """Whatever is being made is not played, and what is being begun is not tried again."""
        self._wanted.clear()
        self._beginning.clear()

    async def play_for_another(self, track: GrowingTrack) -> None:
        """Play a track that another daemon on this cache is making. Raises LofiError."""
        self._playback.grows(track)
        self._begin(self._watch(track))
        await self._play_here(track)

    def _on_job_event(self, event: JobEvent) -> None:
        if isinstance(event, JobAdvanced):
            return
        wanted = self._wanted.get(event.track_id)
        if isinstance(event, JobAudible):
            self._playback.grows(event.track)
            if wanted == "early":
                self._begin_early(event.track)
            return
        self._wanted.pop(event.track_id, None)
        kept = event.track_id in self._kept
        self._kept.discard(event.track_id)
        if isinstance(event, JobCompleted):
            self._playback.settled(event.track)
            if kept:
                self._begin(self._keep(event.track_id))
            ready = f"{_quoted(event.track.prompt)} is ready ({event.path})"
            if event.track_id in self._beginning:
                self._beginning[event.track_id] = ready
            elif wanted is not None:
                self._begin(self._whole(event.track_id, ready))
        elif isinstance(event, JobCancelled):
            self._playback.forsaken(event.track_id, "cancelled")
        else:
            message = f"The track was not finished: {event.error.message}"
            self._playback.forsaken(event.track_id, "error", message)

    def _begin_early(self, track: GrowingTrack) -> None:
        self._wanted.pop(track.track_id, None)
        self._beginning[track.track_id] = None
        self._begin(self._early(track))

    def _begin(self, playing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(playing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, playing: Coroutine[Any, Any, None]) -> None:
        try:
            await playing
        except Exception:  # the boundary: a defect stays with this track
            log.exception("A track is not played, or not kept")

    async def _keep(self, track_id: str) -> None:
        await asyncio.to_thread(self._tracks.keep, [track_id], True)

    async def _play_here(self, track: GrowingTrack) -> None:
        await self._playback.play_now(track.track_id)

    async def _watch(self, track: GrowingTrack) -> None:
        """Until whoever makes it has taken the growing file away, or has died."""
        while await asyncio.to_thread(_grows, track.path):
            await asyncio.sleep(LOOK_SEC)
        kept = track.track_id in self._kept
        self._kept.discard(track.track_id)
        whole = await asyncio.to_thread(self._tracks.find, track.track_id)
        if whole is None:
            self._playback.forsaken(track.track_id, "cancelled")
            return
        self._playback.settled(whole)
        if kept:
            await self._keep(track.track_id)

    async def _early(self, track: GrowingTrack) -> None:
        """Where it cannot be played now, it is tried again, and told, when it is whole."""
        track_id = track.track_id
        try:
            await self._play_early(track)
        except LofiError as error:
            log.info("Track %s is not heard while it is made: %s", track_id, error)
            if track_id not in self._beginning:
                return
            ready = self._beginning[track_id]
            if ready is not None:
                await self._whole(track_id, ready)
            else:
                self.want(track_id, "ready")
        finally:
            self._beginning.pop(track_id, None)

    async def _whole(self, track_id: str, state: str) -> None:
        """Nobody waits for this: what goes wrong is told as the end of the playing."""
        try:
            await self._play(track_id)
        except LofiError as error:
            message = f"{state} but cannot be played: {error.message}"
            told = type(error)(message, hint=error.hint, **error.data)
            self._playback.cannot_be_played(track_id, told)


def _grows(path: Path) -> bool:
    return path.exists() and not is_abandoned(path)


def _quoted(prompt: str) -> str:
    return f'"{shown(prompt)}"'
