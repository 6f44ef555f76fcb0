"""The radio's moving part: gathers the situation, carries out what `radio` decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from lofi_daemon.radio import (
    FILLER_DURATION_SEC,
    KnownTrack,
    Library,
    Make,
    Play,
    Programme,
    RadioState,
    Situation,
    next_to_make,
    next_to_play,
)
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)

LOOK_AGAIN_SEC = 1.0
# How long the machine that computes is left alone once it was not reached.
AWAY_SEC = 60.0
# Two channels of 24 bits: no format writes more.
BYTES_PER_FRAME = 6


@dataclass(frozen=True)
class RadioWaiting:
    """The next new track is late; `replaying` is the older one that plays meanwhile, if any."""

    ready: int
    eta_sec: float | None
    replaying: str | None


@dataclass(frozen=True)
class RadioFallback:
    """The machine that computes is away: for a while this backend, which is here, makes the tracks.

    Told once, until that machine has made a track again.
    """

    backend: str
    error: LofiError


RadioEvent = RadioWaiting | RadioFallback


@dataclass(frozen=True)
class RadioStatus:
    preset: str | None
    state: RadioState
    sound: SoundParameters
    unplayable: frozenset[str] = frozenset()

    @property
    def programme(self) -> Programme:
        return self.state.programme

    @property
    def ready(self) -> int:
        return len(self.state.ready)


class Station:
    """At most one radio at a time. Lives in the event loop."""

    def __init__(
        self, jobs: Jobs, playback: Playback, tracks: TrackCache, registry: Registry
    ) -> None:
        self._jobs = jobs
        self._playback = playback
        self._tracks = tracks
        self._registry = registry
        self._state: RadioState | None = None
        self._sound = SoundParameters()
        self._preset: str | None = None
        self._making_filler = False
        self._asked = False
        self._told_silence = False
        self._heard: dict[str, float] = {}
        self._began = time.time()
        self._unplayable: set[str] = set()
        self._back_at: float | None = None
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
        return RadioStatus(self._preset, state, self._sound, frozenset(self._unplayable))

    def protected(self) -> set[str]:
        """Tracks that must not be evicted before they were heard. Any thread may ask."""
        state = self._state
        return set(state.ready) if state is not None else set()

    async def start(
        self,
        programme: Programme,
        sound: SoundParameters,
        *,
        preset: str | None = None,
    ) -> None:
        """Begin a radio in the place of the one that runs.

        What plays goes on to its end; silence ends with the first track. Raises what a generate
        request with these parameters raises, TrackNotFound where the programme is of tracks that
        are not there, and AudioDeviceError.
        """
        if programme.library is None:
            try:
                self._jobs.resolve(self._parameters(sound, programme.prompts[0], programme.seed))
            except RemoteUnavailable:
                if self._filler_backend() is None:
                    raise
        elif not await self._library(programme):
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
        self._unplayable.update(unplayable)
        self._playback.follow(self)

    def _begin(self, state: RadioState, sound: SoundParameters, preset: str | None) -> None:
        self._state, self._sound, self._preset = state, sound, preset
        self._asked = self._told_silence = False
        self._back_at = None
        self._unplayable.clear()
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
        self._heard[track_id] = time.time()
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
        self._unplayable.add(track_id)
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
                if not self._registry.get(event.track.backend).info.is_here:
                    self._back_at = None
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
                self._make(state, make)
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

    def _make(self, state: RadioState, make: Make) -> None:
        sound = self._sound
        if make.filler:
            sound = SoundParameters(backend=self._filler_backend(), duration_sec=_filler_sec(sound))
        elif self._back_at is not None and time.time() < self._back_at:
            sound = self._bundled(sound)
        try:
            ticket = self._jobs.submit(
                self._parameters(sound, make.prompt, make.seed),
                prefetch=True,
                early=not state.ready,  # else the listener has something to wait with
            )
        except LofiError as error:
            log.warning("Radio: %s", error.message)
            state.begun(make, "")
            state.failed(time.time())
            self._fall_back(state, error)
            return
        self._making_filler = make.filler
        state.begun(make, ticket.track_id)

    def _fall_back(self, state: RadioState, error: LofiError) -> None:
        """Where the machine that computes is away, the next track is made here, at once."""
        backend = self._filler_backend()
        if not isinstance(error, RemoteUnavailable) or backend is None:
            return
        if self._back_at is None:
            self._tell(RadioFallback(backend, error))
        self._back_at = time.time() + AWAY_SEC
        state.retry_at = 0.0

    def _bundled(self, sound: SoundParameters) -> SoundParameters:
        """The same with the backend that is here, whose options are others."""
        name = self._filler_backend()
        if name is None:
            return sound
        info = self._registry.get(name).info
        longest = min(sound.duration_sec, info.max_duration_sec)
        return SoundParameters(
            backend=name, duration_sec=max(longest, info.min_duration_sec), seed=sound.seed
        )

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
        tracks = await self._library(state.programme)
        growing = self._growing(state)
        known = {track.track_id for track in (*tracks, *growing)}
        for track_id in [track_id for track_id in state.ready if track_id not in known]:
            state.gone(track_id)
        last = self._playback.table.last
        return Situation(
            programme=state.programme,
            made=state.made,
            fillers_made=state.fillers_made,
            ready=tuple(state.ready),
            making=state.making is not None,
            making_eta_sec=self._eta_sec(state),
            library=(
                *(self._known(track) for track in tracks),
                *(
                    KnownTrack(
                        track.track_id, track.growth.duration_sec, self._heard.get(track.track_id)
                    )
                    for track in growing
                ),
            ),
            played=state.played,
            playing=last.track_id if last is not None else None,
            silent=silent,
            asked=self._asked,
            filler=self._filler_backend() is not None,
            fits=self._fits(tracks, state),
            retry_at=state.retry_at,
        )

    async def _library(self, programme: Programme) -> list[Track]:
        """The tracks that this radio may play."""
        tracks = await asyncio.to_thread(self._tracks.tracks)
        kept_only = programme.library == "kept"
        return [
            track
            for track in tracks
            if track.track_id not in self._unplayable and (track.kept or not kept_only)
        ]

    def _growing(self, state: RadioState) -> list[GrowingTrack]:
        """What is being made, where it can be heard already."""
        if state.making is None or state.programme.library is not None:
            return []
        track = self._playback.growing(state.making)
        return [] if track is None else [track]

    def _known(self, track: Track) -> KnownTrack:
        heard = self._heard.get(track.track_id)
        if heard is None and track.last_played_at is not None:
            # What was heard here was heard later, even where a wrong clock dated the other.
            heard = min(self._began, _moment(track.last_played_at) or 0.0)
        return KnownTrack(track.track_id, track.duration_sec, heard)

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
        needed = self._playback.protected() | set(state.ready)
        staying = sum(track.bytes for track in tracks if track.kept or track.track_id in needed)
        rate = max(backend.info.sample_rate for backend in self._registry)
        one_more = self._sound.duration_sec * rate * BYTES_PER_FRAME
        return staying + one_more <= self._tracks.max_bytes

    def _filler_backend(self) -> str | None:
        for backend in self._registry:
            if not backend.info.full_model and backend.info.is_here:
                available = backend.availability()
                if available.installed and available.error is None:
                    return backend.info.type
        return None

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


def _moment(written: str) -> float | None:
    """A sidecar's time in seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None


def _filler_sec(sound: SoundParameters) -> float:
    return min(FILLER_DURATION_SEC, sound.duration_sec)
