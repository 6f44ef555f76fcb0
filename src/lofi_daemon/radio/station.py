"""The radio's moving part: gathers the situation, carries out what `programme` decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.errors import LofiError, RemoteUnavailable, TrackAlreadyComplete, TrackNotFound
from lofi_daemon.jobs.events import JobAdvanced, JobAudible, JobCompleted, JobEvent, JobFailed
from lofi_daemon.jobs.job import Priority
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.parameters import GenerationParameters, SoundParameters, parse
from lofi_daemon.player.events import PlaybackEvent, PlaybackSilent
from lofi_daemon.player.playback import Playback
from lofi_daemon.player.turn import Origin
from lofi_daemon.radio.events import RadioEvent, RadioFallback, RadioStatus, RadioWaiting
from lofi_daemon.radio.flow import Wish, going_on, raise_unless_it_flows
from lofi_daemon.radio.programme import (
    Library,
    Make,
    Play,
    Programme,
    RadioState,
    Situation,
    next_to_make,
    next_to_play,
)
from lofi_daemon.radio.shelf import Shelf
from lofi_daemon.radio.stand_in import StandIn
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)

LOOK_AGAIN_SEC = 1.0
# Two channels of 24 bits: no format writes more.
BYTES_PER_FRAME = 6


class Station:
    """At most one radio at a time. Lives in the event loop."""

    def __init__(
        self, jobs: Jobs, playback: Playback, tracks: TrackCache, registry: Registry
    ) -> None:
        self._jobs = jobs
        self._playback = playback
        self._tracks = tracks
        self._registry = registry
        self._stand_in = StandIn(registry)
        self._shelf = Shelf(tracks)
        self._state: RadioState | None = None
        self._sound = SoundParameters()
        self._preset: str | None = None
        self._making_filler = False
        self._asked = False
        self._told_silence = False
        self._listeners: list[Callable[[RadioEvent], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stepping = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        jobs.subscribe(self._on_job_event)
        playback.subscribe(self._on_playback_event)

    def subscribe(self, listener: Callable[[RadioEvent], None]) -> None:
        self._listeners.append(listener)

    @property
    def status(self) -> RadioStatus | None:
        state = self._state
        if state is None:
            return None
        return RadioStatus(self._preset, state, self._sound, self._shelf.unplayable)

    def protected(self) -> set[str]:
        """Tracks that must not be evicted before they were heard, or gone on from. Any thread may
        ask."""
        state = self._state
        return set(state.needed) if state is not None else set()

    async def start(
        self,
        programme: Programme,
        sound: SoundParameters,
        *,
        preset: str | None = None,
    ) -> None:
        """Begin a radio in the place of the one that runs.

        What plays goes on to its end; silence ends with the first track. Raises what a generate
        request with these parameters raises, InvalidParams for a flow of what does not flow,
        TrackNotFound where the programme is of tracks that are not there, and AudioDeviceError.
        """
        if programme.flow:
            raise_unless_it_flows(self._registry, programme, sound)
        if programme.library is None:
            try:
                self._jobs.resolve(self._parameters(sound, programme.prompts[0], programme.seed))
            except RemoteUnavailable:
                if self._stand_in.backend is None:
                    raise
        elif not await self._shelf.tracks(programme):
            raise _no_library(programme.library)
        await self._playback.turntable.open_device()
        self.stop()
        self._begin(RadioState(programme), sound, preset)
        self._asked = True
        await self._playback.tune_in(self)

    def go_on(
        self,
        state: RadioState,
        sound: Mapping[str, Any],
        *,
        preset: str | None,
        unplayable: Iterable[str] = (),
    ) -> None:
        """Go on with a radio that another daemon began. Raises InvalidParams."""
        model = self._registry.taking_options(SoundParameters)
        self._begin(state, parse(model, sound), preset)
        self._shelf.leave_out(unplayable)
        self._playback.follow(self)

    def _begin(self, state: RadioState, sound: SoundParameters, preset: str | None) -> None:
        self._state, self._sound, self._preset = state, sound, preset
        self._asked = self._told_silence = False
        self._stand_in.step_back()
        self._shelf.try_all_again()
        self._step_soon()

    def stop(self) -> None:
        """End the radio; playback goes on to the end of the playlist."""
        state, self._state = self._state, None
        if self._timer is not None:
            self._timer.cancel()
        if state is None:
            return
        if state.making is not None and self._is_prefetch(state.making):
            with contextlib.suppress(TrackAlreadyComplete):
                self._jobs.cancel(state.making)
        self._playback.tune_out()

    # -- asked by playback ---------------------------------------------------------------------

    async def next_track(self, *, silent: bool) -> str | None:
        if self._state is None:
            return None
        situation = await self._situation(self._state, silent=silent)
        choice = next_to_play(situation)
        return choice.track_id if isinstance(choice, Play) else None

    def started(self, track_id: str, origin: Origin) -> None:
        """A track plays: a new one, an old one meanwhile, or one that the listener chose."""
        state = self._state
        if state is None:
            return
        self._asked = self._told_silence = False
        self._shelf.heard_now(track_id)
        state.played += 1
        if track_id in state.ready:
            state.gone(track_id)
        elif not state.ready and origin == "radio" and state.programme.library is None:
            self._tell(RadioWaiting(0, self._eta_sec(state), track_id))
        self._step_soon()

    def passed_over(self, track_id: str | None) -> None:
        """The listener wants the next track and there is none: what plays goes on."""
        if self._state is not None:
            self._tell(RadioWaiting(0, self._eta_sec(self._state), track_id))

    def unplayable(self, track_id: str) -> None:
        self._shelf.leave_out([track_id])
        if self._state is not None:
            self._state.gone(track_id)

    # -- events --------------------------------------------------------------------------------

    def _on_job_event(self, event: JobEvent) -> None:
        state = self._state
        if state is None or isinstance(event, JobAdvanced):
            return
        if event.track_id == state.making:
            if isinstance(event, JobAudible):
                state.grows(event.track_id, filler=self._making_filler)
            elif isinstance(event, JobCompleted):
                state.finished(event.track_id, filler=self._making_filler)
                self._stand_in.made(event.track.backend)
            else:
                state.failed(time.time())
                if isinstance(event, JobFailed):
                    self._fall_back(state, event.error)
        self._playback.next_may_have_changed()
        self._step_soon()

    def _on_playback_event(self, event: PlaybackEvent) -> None:
        if isinstance(event, PlaybackSilent) and self._state is not None:
            self._step_soon()

    # -- one step ------------------------------------------------------------------------------

    def _step_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(self._step()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LofiError as error:
            log.warning("Radio: %s", error.message)
        except Exception:  # the boundary: nobody waits for this work, and the next step is taken
            log.exception("The radio stumbled")

    async def _step(self) -> None:
        """Make what is to be made, break a silence that may be broken, look again later."""
        async with self._stepping:
            state = self._state
            if state is None:
                return
            silent = self._playback.silent
            make = next_to_make(await self._situation(state, silent=silent), time.time())
            if make is not None and state is self._state:
                await self._make(state, make)
            waits = silent and self._playback.table.wanted
            if waits and state is self._state:
                await self._break_silence(state)
            short = self._is_short(state)
            if waits or short:
                self._look_again()

    def _is_short(self, state: RadioState) -> bool:
        programme = state.programme
        makes = programme.library is None and state.making is None
        return makes and len(state.ready) < programme.ahead

    async def _make(self, state: RadioState, make: Make) -> None:
        if make.filler_sec is not None:
            sound = self._stand_in.filler(self._sound, make.filler_sec)
        else:
            sound = self._stand_in.replaces(self._sound, time.time())
        wish = Wish(self._parameters(sound, make.prompt, make.seed))
        if make.after is not None:
            wish = await going_on(self._registry, self._tracks, wish.parameters, make.after)
            if state is not self._state:
                return
        try:
            ticket = self._jobs.submit(
                wish.parameters,
                origin=wish.origin,
                prefetch=True,
                early=not state.ready,  # else the listener has something to wait with
            )
        except LofiError as error:
            log.warning("Radio: %s", error.message)
            state.begun(make, "")
            state.failed(time.time())
            self._fall_back(state, error)
            return
        self._making_filler = make.filler_sec is not None
        state.begun(make, ticket.track_id)

    def _fall_back(self, state: RadioState, error: LofiError) -> None:
        """Where the machine that computes is away, the next track is made here, at once."""
        backend = self._stand_in.backend
        if backend is None or not isinstance(error, RemoteUnavailable):
            return
        if self._stand_in.step_in(time.time()):
            self._tell(RadioFallback(backend, error))
        state.retry_at = 0.0

    async def _break_silence(self, state: RadioState) -> None:
        choice = await self.next_track(silent=True)
        if choice is not None and state is self._state:
            await self._playback.play()
        elif not self._told_silence:
            self._told_silence = True
            self._tell(RadioWaiting(0, self._eta_sec(state), None))

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_SEC, self._step_soon)

    def _tell(self, event: RadioEvent) -> None:
        for listener in self._listeners:
            listener(event)

    # -- the situation -------------------------------------------------------------------------

    async def _situation(self, state: RadioState, *, silent: bool) -> Situation:
        tracks = await self._shelf.tracks(state.programme)
        growing = self._growing(state)
        known = {track.track_id for track in (*tracks, *growing)}
        for track_id in [track_id for track_id in state.ready if track_id not in known]:
            state.gone(track_id)
        last = self._playback.table.last
        return Situation(
            programme=state.programme,
            made=state.made,
            latest=state.latest,
            fillers_made=state.fillers_made,
            ready=tuple(state.ready),
            making=state.making is not None,
            making_eta_sec=self._eta_sec(state),
            library=(
                *(self._shelf.known(track) for track in tracks),
                *(self._shelf.known_growing(track) for track in growing),
            ),
            played=state.played,
            playing=last.track_id if last is not None else None,
            silent=silent,
            asked=self._asked,
            filler=self._stand_in.backend is not None,
            fits=self._fits(tracks, state),
            retry_at=state.retry_at,
        )

    def _growing(self, state: RadioState) -> list[GrowingTrack]:
        """What is being made, where it can be heard already."""
        if state.making is None or state.programme.library is not None:
            return []
        track = self._playback.growing(state.making)
        return [] if track is None else [track]

    def _eta_sec(self, state: RadioState) -> float | None:
        """Seconds until what is being made is ready, the listener's own requests before it."""
        job = self._jobs.find(state.making) if state.making is not None else None
        current = self._jobs.current
        if job is None:
            return None
        if current is not None and current[0] is job:
            return current[1].eta_sec
        return self._jobs.estimated_wait_sec()

    def _fits(self, tracks: list[Track], state: RadioState) -> bool:
        needed = self._playback.protected() | state.needed
        staying = sum(track.bytes for track in tracks if track.kept or track.track_id in needed)
        rate = max(backend.info.sample_rate for backend in self._registry)
        one_more = self._sound.duration_sec * rate * BYTES_PER_FRAME
        return staying + one_more <= self._tracks.max_bytes

    def _parameters(self, sound: SoundParameters, prompt: str, seed: int) -> GenerationParameters:
        model = self._registry.taking_options(GenerationParameters)
        return parse(model, {**sound.model_dump(), "prompt": prompt, "seed": seed})

    def _is_prefetch(self, track_id: str) -> bool:
        """Whether nobody but the radio waits for this track."""
        job = self._jobs.find(track_id)
        return job is not None and job.priority is Priority.PREFETCH


def _no_library(library: Library) -> TrackNotFound:
    if library == "kept":
        return TrackNotFound(
            "There is no kept track to play.", hint="Keep a track that you like (:Lofi keep)."
        )
    return TrackNotFound("There is no track to play yet.", hint="Generate one first.")
