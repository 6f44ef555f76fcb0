"""Requests in, events out: the part of the house that the event loop sees of generating."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.options import given_options
from lofi_daemon.backends.protocol import (
    Backend,
    GenerationRequest,
    Phase,
    Understood,
    parse_options,
)
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    LofiError,
    TrackAlreadyComplete,
    TrackNotFound,
)
from lofi_daemon.jobs.job import (
    Cancelled,
    Completed,
    Event,
    FinalEvent,
    Job,
    Priority,
    Progress,
)
from lofi_daemon.jobs.progress import JobProgress, ProgressSnapshot
from lofi_daemon.jobs.queue import JobQueue
from lofi_daemon.jobs.timings import Timings
from lofi_daemon.jobs.worker import Worker
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.tracks import TrackCache, track_id

log = logging.getLogger(__name__)

TICK_SEC = 0.1
# A model call usually stops at its next operator. Making a session cannot be stopped at all: the
# job is reported cancelled, and its thread comes back when it can.
GIVE_UP_SEC = 0.15
# The answer and the first progress go out before the interpreter is busy loading libraries.
START_AFTER_SEC = 0.01
_WRITING_SEC_PER_TRACK_SEC = 0.006


@dataclass(frozen=True)
class Ticket:
    """The answer to a request. position is the place among those who wait, 0 when none.

    understood: what the backend read from the prompt, where it says so.
    """

    track_id: str
    status: Literal["queued", "generating", "cached"]
    position: int
    seed: int
    backend: str
    understood: Understood | None = None


@dataclass(frozen=True)
class Resolved:
    """A request as a backend will carry it out."""

    backend: Backend
    model_version: str | None
    request: GenerationRequest

    @property
    def track_id(self) -> str:
        return track_id(self.backend.info.type, self.model_version, self.request)


class Jobs:
    """Lives in the event loop, on whose thread every method must be called.

    For every ticket that is not `cached` exactly one of Completed, Failed and Cancelled is
    published, and nothing of that track after it.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        tracks: TrackCache,
        *,
        in_background: bool = True,
    ) -> None:
        """in_background: generating lets everything else on the machine go first."""
        self._loop = asyncio.get_running_loop()
        self._registry = registry
        self._tracks = tracks
        self._queue = JobQueue()
        self._timings = Timings(settings.cache_folder / "timings.json")
        self._current: Job | None = None
        self._last_progress = Progress("", 0, 0, 0, 0.0, Phase.LOADING)
        self._last_progress_at = 0.0
        self._listeners: list[Callable[[Event], None]] = []
        self._protected: Callable[[], AbstractSet[str]] = frozenset
        self._worker = Worker(
            registry,
            tracks,
            self._timings,
            settings.track_format,
            in_background=in_background,
            unload_after_sec=settings.unload_after_sec,
            protected=lambda: self._protected(),
            on_step=self._step_done,
            on_end=self._job_ended,
        )

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event, in the event loop."""
        self._listeners.append(listener)

    def protect(self, protected: Callable[[], AbstractSet[str]]) -> None:
        """Ask `protected()`, in the worker's thread, which tracks must not go to make room."""
        self._protected = protected

    @property
    def current(self) -> tuple[Job, ProgressSnapshot] | None:
        """The running job and how far it is."""
        job = self._current
        if job is None or job.finished:
            return None
        return job, job.progress.snapshot()

    @property
    def waiting(self) -> list[Job]:
        """In the order in which they will run."""
        return list(self._queue)

    def find(self, track_id: str) -> Job | None:
        """The job that makes this track, running or waiting."""
        if self._current is not None and self._is_alive(self._current, track_id):
            return self._current
        return self._queue.find(track_id)

    def resolve(self, parameters: GenerationParameters) -> Resolved:
        """Choose the backend, fill in its defaults, draw a seed; raises what is wrong with it.

        Raises InvalidBackend, BackendNotInstalled, ModelLoadFailed, InvalidDuration,
        InvalidParams.
        """
        info = (
            self._registry.default()
            if parameters.backend is None
            else self._registry.get(parameters.backend)
        ).info
        check_duration(info, parameters.duration_sec)
        backend = self._registry.choose(parameters.backend)
        # 32 bits: easily typed again, and exact in every client's numbers.
        seed = secrets.randbits(32) if parameters.seed is None else parameters.seed
        options = parse_options(info.options, given_options(parameters), info.name)
        request = GenerationRequest(parameters.prompt, parameters.duration_sec, seed, options)
        return Resolved(backend, backend.availability().model_version, backend.resolve(request))

    def submit(self, parameters: GenerationParameters, *, prefetch: bool = False) -> Ticket:
        """Have a track made. Raises what `resolve` raises, and QueueFull.

        `prefetch` is for the radio's work ahead, which every other request overtakes.
        """
        resolved = self.resolve(parameters)
        identity = resolved.track_id
        priority = Priority[parameters.priority.upper()] if not prefetch else Priority.PREFETCH
        job = self._shared(identity)
        if job is not None:
            return self._ticket(job, self._wanted_again(job, priority))
        track = self._tracks.find(identity)
        if track is not None:
            understood = resolved.backend.info.understood(track.prompt)
            cached = Completed(track, self._tracks.path(track), 0.0, understood)
            self._loop.call_soon(self._publish, cached)
            return Ticket(identity, "cached", 0, track.seed, track.backend, understood)
        workload = _workload(resolved)
        job = Job(
            identity,
            resolved.backend,
            resolved.model_version,
            resolved.request,
            priority,
            workload,
            self._forecast(resolved, workload),
        )
        position = self._queue.add(job, estimated_wait_sec=self.estimated_wait_sec())
        if self._current is None:
            self._start_next()
            position = 0
        return self._ticket(job, position)

    def cancel(self, track_id: str) -> bool:
        """Stop or forget a job; whether it was being generated.

        Raises TrackNotFound, and TrackAlreadyComplete when it is too late.
        """
        job = self._current
        if job is not None and self._is_alive(job, track_id):
            if not job.cancel():
                raise TrackAlreadyComplete(f"Track '{track_id}' is finished.")
            self._loop.call_later(GIVE_UP_SEC, self._give_up, job)
            return True
        job = self._queue.find(track_id)
        if job is not None:
            self._queue.remove(job)
            self._loop.call_soon(self._give_up, job)
            return False
        if self._tracks.find(track_id) is not None:
            raise TrackAlreadyComplete(f"Track '{track_id}' is finished.")
        raise TrackNotFound(f"There is no track '{track_id[:64]}'.")

    def clear(self) -> list[str]:
        """Forget the jobs that wait; their tracks. The running one goes on."""
        jobs = self._queue.clear()
        for job in jobs:
            self._loop.call_soon(self._give_up, job)
        return [job.track_id for job in jobs]

    def estimated_wait_sec(self) -> float:
        """Until everything that runs and waits now is done."""
        current = self.current
        running = current[1].eta_sec if current is not None else 0.0
        return running + sum(job.progress.total_forecast_sec for job in self._queue)

    async def close(self, timeout_sec: float) -> bool:
        """Cancel everything and end the thread; whether it ended in time.

        What it was writing is removed either way.
        """
        self.clear()
        job = self._current
        if job is not None and not job.finished and job.cancel():
            self._loop.call_later(GIVE_UP_SEC, self._give_up, job)
        self._worker.stop()
        ended = await asyncio.to_thread(self._worker.join, timeout_sec)
        await asyncio.sleep(0)  # the thread's last event is behind this one in the loop
        if job is not None and job.token.cancelled:
            self._give_up(job)
        self._tracks.abandon()
        return ended

    # A job's life

    def _shared(self, track_id: str) -> Job | None:
        """The job that an equal request can share."""
        job = self._current
        if job is not None and self._is_alive(job, track_id) and job.token.cancelled:
            self._give_up(job)  # its end is told before the new request is answered
            job = None
        return self.find(track_id)

    def _wanted_again(self, job: Job, priority: Priority) -> int:
        if job is self._current:
            return 0
        return self._queue.raise_priority(job, priority)

    def _ticket(self, job: Job, position: int) -> Ticket:
        status = "generating" if job is self._current else "queued"
        info = job.backend.info
        understood = info.understood(job.request.prompt)
        return Ticket(job.track_id, status, position, job.request.seed, info.type, understood)

    def _start_next(self) -> None:
        job = self._queue.take_next()
        self._current = job
        if job is None:
            return
        resolved = Resolved(job.backend, job.model_version, job.request)
        try:
            # Meanwhile the model may have been loaded, or unloaded.
            job.workload = _workload(resolved)
        except LofiError as error:  # its files vanished while it waited; loading says so best
            log.info("Track %s starts with an old forecast: %s", job.track_id, error)
        job.progress = self._forecast(resolved, job.workload)
        self._last_progress = Progress(job.track_id, -1, 0, 0, 0.0, Phase.LOADING)
        self._loop.call_soon(self._tick, job)
        self._loop.call_later(START_AFTER_SEC, self._run, job)

    def _run(self, job: Job) -> None:
        if job.finished:  # given up before it began
            self._start_next()
        else:
            self._worker.run(job)

    def _give_up(self, job: Job) -> None:
        """Report a job as cancelled, whatever its thread is still doing."""
        state = job.progress.snapshot()
        self._finish(job, Cancelled(job.track_id, state.step, state.total_steps))

    def _finish(self, job: Job, event: FinalEvent) -> None:
        if job.finished:
            return
        job.finished = True
        self._publish(event)

    def _publish(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _is_alive(self, job: Job, track_id: str) -> bool:
        return job.track_id == track_id and not job.finished

    def _forecast(self, resolved: Resolved, workload: Mapping[Phase, float]) -> JobProgress:
        forecast = self._timings.forecast(
            resolved.backend.info.type, resolved.model_version, workload
        )
        return JobProgress(forecast, resolved.request.options.expected_steps, time.monotonic)

    # Progress

    def _tick(self, job: Job) -> None:
        if job is self._current and not job.finished:
            self._emit(job, _progress(job), forced=False)
            self._loop.call_later(TICK_SEC, self._tick, job)

    def _emit(self, job: Job, progress: Progress, *, forced: bool) -> None:
        if job.finished:
            return
        last = self._last_progress
        progress = replace(progress, percent=max(progress.percent, last.percent))
        now = self._loop.time()
        waited = now - self._last_progress_at
        news = progress.percent > last.percent or progress.phase is not last.phase or waited >= 1.0
        if forced or (news and waited >= TICK_SEC * 0.99):
            self._last_progress = progress
            self._last_progress_at = now
            self._publish(progress)

    # Called in the worker's thread

    def _step_done(self, job: Job) -> None:
        progress = _progress(job)
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(lambda: self._emit(job, progress, forced=True))

    def _job_ended(self, job: Job, event: FinalEvent) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, job, event)

    def _end(self, job: Job, event: FinalEvent) -> None:
        if job.token.cancelled and not isinstance(event, Completed):
            self._give_up(job)  # however the model put it
        self._finish(job, event)
        self._start_next()


def _workload(resolved: Resolved) -> dict[Phase, float]:
    writing = resolved.request.duration_sec * _WRITING_SEC_PER_TRACK_SEC
    return {Phase.WRITING: writing, **resolved.backend.workload(resolved.request)}


def _progress(job: Job) -> Progress:
    state = job.progress.snapshot()
    return Progress(
        job.track_id,
        state.percent,
        state.step,
        state.total_steps,
        state.eta_sec,
        state.phase,
        counts_tokens=Phase.DECODING_TOKENS in job.workload,
    )
