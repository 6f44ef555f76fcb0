"""Between those who make tracks and those who play them: what is heard as soon as it may be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from lofi_daemon.errors import LofiError
from lofi_daemon.jobs.events import JobAdvanced, JobAudible, JobCancelled, JobCompleted, JobEvent
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.player.playback import Playback
from lofi_daemon.text import shown

log = logging.getLogger(__name__)

When = Literal["early", "ready"]
"""early: as soon as the rest will be there before it is heard; ready: when the track is whole."""


class EarlySound:
    """Lets playback know of tracks that grow, and plays those that somebody waits for.

    Lives in the event loop.
    """

    def __init__(self, jobs: Jobs, playback: Playback) -> None:
        self._playback = playback
        self._play: Callable[[str], Awaitable[object]] = playback.play_now
        self._plays_here: Callable[[], bool] = lambda: True
        self._wanted: dict[str, When] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        jobs.subscribe(self._on_job_event)

    def share(
        self, play: Callable[[str], Awaitable[object]], plays_here: Callable[[], bool]
    ) -> None:
        """The music may play elsewhere: `play` plays a finished track, wherever that is.

        A track that grows is played here or not at all.
        """
        self._play, self._plays_here = play, plays_here

    def want(self, track_id: str, when: When) -> None:
        """Play this track when it can be heard."""
        if self._wanted.get(track_id) != "early":
            self._wanted[track_id] = when

    def forget(self) -> None:
        """Whatever is being made is not played."""
        self._wanted.clear()

    def _on_job_event(self, event: JobEvent) -> None:
        if isinstance(event, JobAdvanced):
            return
        wanted = self._wanted.get(event.track_id)
        if isinstance(event, JobAudible):
            self._playback.grows(event.track)
            if wanted == "early" and self._plays_here():
                del self._wanted[event.track_id]
                playing = self._playback.play_now(event.track_id)
                self._begin(playing, event.track_id, f"{_quoted(event.track.prompt)} is being made")
            return
        self._wanted.pop(event.track_id, None)
        if isinstance(event, JobCompleted):
            self._playback.settled(event.track)
            if wanted is not None:
                ready = f"{_quoted(event.track.prompt)} is ready ({event.path})"
                self._begin(self._play(event.track_id), event.track_id, ready)
        elif isinstance(event, JobCancelled):
            self._playback.forsaken(event.track_id, "cancelled")
        else:
            message = f"The track was not finished: {event.error.message}"
            self._playback.forsaken(event.track_id, "error", message)

    def _begin(self, playing: Awaitable[object], track_id: str, state: str) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(playing, track_id, state))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, playing: Awaitable[object], track_id: str, state: str) -> None:
        """Nobody waits for this: what goes wrong is told as the end of the playing."""
        try:
            await playing
        except LofiError as error:
            message = f"{state} but cannot be played: {error.message}"
            told = type(error)(message, hint=error.hint, **error.data)
            self._playback.cannot_be_played(track_id, told)
        except Exception:  # the boundary: a defect stays with this track
            log.exception("Track %s is not played", track_id)


def _quoted(prompt: str) -> str:
    return f'"{shown(prompt)}"'
