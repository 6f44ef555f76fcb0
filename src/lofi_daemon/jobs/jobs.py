"""Requests in, events out: the part of the house that the event loop sees of generating."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from lofi_daemon.aside import aside
from lofi_daemon.backends.protocol import Phase, Understood
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    CacheWriteFailed,
    LofiError,
    ModelInferenceFailed,
    ShuttingDown,
    TrackAlreadyComplete,
    TrackNotFound,
)
from lofi_daemon.jobs.estimate import Estimate, Estimator
from lofi_daemon.jobs.events import (
    JobAdvanced,
    JobAudible,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    LastWord,
)
from lofi_daemon.jobs.job import Job, Priority, State
from lofi_daemon.jobs.queue import JobQueue
from lofi_daemon.jobs.reporting import SHORTEST_GAP_SEC, Reporting, patience_sec, position_of
from lofi_daemon.jobs.requests import Resolved, resolve
from lofi_daemon.jobs.tasks import Origin
from lofi_daemon.jobs.timings import Timings
from lofi_daemon.jobs.worker import Worker
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.tracks import TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)

# A model call usually stops at its next operator. Making a session cannot be stopped at all: the
# job is reported cancelled, and its thread comes back when it can.
GIVE_UP_SEC = 0.15
# The answer and the first progress go out before the interpreter is busy loading libraries.
START_AFTER_SEC = 0.01
# What a daemon that ends waits for files that are being removed.
ABANDON_SEC = 0.2
# Each model call that hangs keeps its memory, and perhaps a processor, until the daemon ends.
MAX_HUNG = 3


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


class Jobs:
    """Lives in the event loop, on whose thread every method must be called.

    For every ticket that is not `cached` exactly one of JobCompleted, JobFailed and JobCancelled is
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
        self._settings = settings
        self._registry = registry
        self._tracks = tracks
        self._in_background = in_background
        self._queue = JobQueue()
        self._timings = Timings(settings.cache_folder / "timings.json")
        self._current: Job | None = None
        self._reporting = Reporting()
        # Cancelled before their turn; their last word follows the answer that cancelled them.
        self._leaving: list[Job] = []
        self._closing = False
        self._hung = 0
        self._listeners: list[Callable[[JobEvent], None]] = []
        self._worker = self._new_worker()

    def subscribe(self, listener: Callable[[JobEvent], None]) -> None:
        """Call `listener` with every event, in the event loop."""
        self._listeners.append(listener)

    @property
    def current(self) -> tuple[Job, Estimate] | None:
        """The running job and how far it is."""
        job = self._current
        if job is None or job.is_over:
            return None
        return job, job.estimator.estimate()

    @property
    def waiting(self) -> list[Job]:
        """In the order in which they will run."""
        return list(self._queue)

    def find(self, track_id: str) -> Job | None:
        """The job that makes this track, running or waiting."""
        job = self._current
        if job is not None and job.track_id == track_id and not job.is_over:
            return job
        return self._queue.find(track_id)

    def resolve(self, parameters: GenerationParameters, origin: Origin | None = None) -> Resolved:
        """What a request would be carried out as; raises what is wrong with it.

        Raises InvalidBackend, BackendNotInstalled, ModelLoadFailed, InvalidDuration,
        InvalidParams.
        """
        return resolve(self._registry, parameters, origin)

    def submit(
        self,
        parameters: GenerationParameters,
        *,
        origin: Origin | None = None,
        prefetch: bool = False,
        early: bool = False,
    ) -> Ticket:
        """Have a track made. Raises what `resolve` raises, QueueFull and ShuttingDown.

        origin: what it begins with, as `tasks.with_source` found it. `prefetch` is for the radio's
        work ahead, which every other request overtakes. `early`: a JobAudible is wanted, if the
        track can be heard before it is whole.
        """
        if self._closing:
            raise ShuttingDown("The daemon ends; no track is begun.")
        resolved = self.resolve(parameters, origin)
        identity = resolved.recipe.track_id
        priority = Priority[parameters.priority.upper()] if not prefetch else Priority.PREFETCH
        self._say_farewell(identity)
        job = self.find(identity)
        if job is not None:
            job.early = job.early or early
            return self._ticket(job, self._wanted_again(job, priority))
        track = self._tracks.find(identity)
        if track is not None:
            understood = resolved.backend.info.understood(track.prompt)
            cached = JobCompleted(track, self._tracks.path(track), 0.0, understood)
            self._loop.call_soon(self._publish, cached)
            return Ticket(identity, "cached", 0, track.seed, track.backend, understood)
        if self._hung >= MAX_HUNG:
            raise _too_many_hung()
        workload = resolved.workload()
        estimator = self._forecast(resolved, workload)
        job = Job(
            resolved.backend,
            resolved.recipe,
            priority,
            workload,
            estimator,
            early=early,
            track_format=parameters.format,
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
        job = self.find(track_id)
        if job is None:
            if self._tracks.find(track_id) is not None:
                raise TrackAlreadyComplete(f"Track '{track_id}' is finished.")
            raise TrackNotFound(f"There is no track '{track_id[:64]}'.")
        if job.state is State.WAITING:
            self._queue.remove(job)
            self._leave(job)
            return False
        if not job.cancel():
            raise TrackAlreadyComplete(f"Track '{track_id}' is finished.")
        self._loop.call_later(GIVE_UP_SEC, self._say_cancelled, job)
        return True

    def clear(self) -> list[str]:
        """Forget the jobs that wait; their tracks. The running one goes on."""
        jobs = self._queue.clear()
        for job in jobs:
            self._leave(job)
        return [job.track_id for job in jobs]

    def estimated_wait_sec(self) -> float:
        """Until everything that runs and waits now is done."""
        current = self.current
        running = current[1].eta_sec if current is not None else 0.0
        return running + sum(job.estimator.total_forecast_sec for job in self._queue)

    def stop_accepting(self) -> None:
        """From here on every request is refused and nothing starts; who waits is told at once."""
        self._closing = True
        self.clear()

    async def close(self, timeout_sec: float) -> bool:
        """Cancel everything and end the thread; whether it ended in time.

        What it was writing is removed either way, and every job has its last word.
        """
        self.stop_accepting()
        job = self._current
        if job is not None and job.cancel():
            self._loop.call_later(GIVE_UP_SEC, self._say_cancelled, job)
        self._worker.stop()
        ended = await aside(self._worker.join, timeout_sec)
        await asyncio.sleep(0)  # the thread's last event is behind this one in the loop
        if job is not None and not ended:
            self._say_without_thread(job)
        await aside(self._tracks.abandon, ABANDON_SEC)
        return ended

    # A job's life

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
        job.move(State.STARTING)
        resolved = Resolved(job.backend, job.recipe)
        try:
            # Meanwhile the model may have been loaded, or unloaded.
            job.workload = resolved.workload()
        except LofiError as error:  # its files vanished while it waited; loading says so best
            log.info("Track %s starts with an old forecast: %s", job.track_id, error)
        job.estimator = self._forecast(resolved, job.workload)
        self._reporting = Reporting()
        self._loop.call_soon(self._tick, job)
        self._loop.call_later(START_AFTER_SEC, self._run, job)

    def _run(self, job: Job) -> None:
        if job.is_over:  # it was cancelled before it began
            self._start_next()
        else:
            self._worker.run(job)

    def _ended(self, job: Job, word: LastWord) -> None:
        """The thread is done with a job. One that was cancelled is so, however the model put it."""
        if job.token.cancelled and not isinstance(word, JobCompleted):
            self._say_cancelled(job)
        self._say(job, word)
        if job is self._current:
            self._start_next()

    def _leave(self, job: Job) -> None:
        self._leaving.append(job)
        self._loop.call_soon(self._say_farewell)

    def _say_farewell(self, track_id: str | None = None) -> None:
        """Tell what is owed: that a track was cancelled comes before it is asked for again."""
        job = self._current
        if job is not None and job.track_id == track_id and job.token.cancelled:
            self._say_cancelled(job)
        leaving, self._leaving = self._leaving, []
        for each in leaving:
            self._say_cancelled(each)

    def _say_cancelled(self, job: Job) -> None:
        """Report a job as cancelled, whatever its thread is still doing."""
        estimate = job.estimator.estimate()
        self._say(job, JobCancelled(job.track_id, estimate.step, estimate.total_steps))

    def _say(self, job: Job, word: LastWord) -> None:
        if job.move(State.OVER):
            self._publish(word)
            if job.heard is not None:
                job.heard.close()

    def _publish(self, event: JobEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("A listener failed over %s", type(event).__name__)

    def _forecast(self, resolved: Resolved, workload: Mapping[Phase, float]) -> Estimator:
        recipe = resolved.recipe
        forecast = self._timings.forecast(
            resolved.backend.info.timed_as, recipe.model_version, workload
        )
        return Estimator(forecast, recipe.request.options.expected_steps, self._loop.time)

    # Progress, and work that gives no sign any more

    def _tick(self, job: Job) -> None:
        if job is not self._current:
            return
        if not job.is_over:
            event = self._reporting.look(position_of(job), self._loop.time())
            if event is not None:
                self._publish(event)
        estimate = job.estimator.estimate()
        if estimate.silent_sec > patience_sec(estimate, cancelled=job.token.cancelled):
            self._go_on_without(job, estimate)
        else:
            self._loop.call_later(SHORTEST_GAP_SEC, self._tick, job)

    def _step_done(self, job: Job, event: JobAdvanced) -> None:
        if job is self._current and not job.is_over:
            self._publish(self._reporting.step(event, self._loop.time()))

    def _audible(self, job: Job, track: GrowingTrack) -> None:
        if job is self._current and not job.is_over:
            self._publish(JobAudible(track))

    def _go_on_without(self, job: Job, estimate: Estimate) -> None:
        """Nothing ends a thread that hangs in a library: the next job gets another one."""
        log.error(
            "Track %s gave no sign for %.0f s (%s); its thread is left alone, and the model is "
            "loaded anew for the next track. Restart the daemon to get its memory back.",
            job.track_id,
            estimate.silent_sec,
            estimate.phase.value,
        )
        was_cancelled = job.token.cancelled
        self._hung += 1
        self._worker.stop()
        self._worker = self._new_worker()
        self._registry.forget(job.backend)
        for waiting in self._queue:
            if waiting.backend is job.backend:
                waiting.backend = self._registry.get(job.backend.info.type)
        if not was_cancelled and job.cancel():
            self._say(job, JobFailed(job.track_id, _hung_in(job, estimate)))
        self._say_without_thread(job)
        if self._hung >= MAX_HUNG:
            for waiting in self._queue.clear():
                self._say(waiting, JobFailed(waiting.track_id, _too_many_hung()))
        self._start_next()

    def _say_without_thread(self, job: Job) -> None:
        """The last word on a job that was told to stop, or that the folder does not let go."""
        if job.state is State.COMMITTING:
            self._say(job, JobFailed(job.track_id, _folder_is_silent(self._tracks)))
        else:
            self._say_cancelled(job)

    # The worker

    def _new_worker(self) -> Worker:
        """Its callbacks come in its own thread."""
        return Worker(
            self._registry,
            self._tracks,
            self._timings,
            self._settings.track_format,
            in_background=self._in_background,
            unload_after_sec=self._settings.unload_after_sec,
            on_step=lambda job: self._from_thread(self._step_done, job, position_of(job)),
            on_audible=lambda job, track: self._from_thread(self._audible, job, track),
            on_end=lambda job, word: self._from_thread(self._ended, job, word),
        )

    def _from_thread(self, call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)


def _hung_in(job: Job, estimate: Estimate) -> LofiError:
    return ModelInferenceFailed(
        f"{job.backend.info.name} gave no sign for {estimate.silent_sec:.0f} s "
        f"({estimate.phase.value.replace('_', ' ')}) and was given up.",
        hint="Ask in other words or for a shorter track; restarting the daemon gives its memory "
        "back (:Lofi restart).",
    )


def _too_many_hung() -> LofiError:
    return ModelInferenceFailed(
        f"{MAX_HUNG} model calls have hung since the daemon started, and none is begun any more.",
        hint="Restart the daemon (:Lofi restart).",
    )


def _folder_is_silent(tracks: TrackCache) -> LofiError:
    return CacheWriteFailed(
        f"The track folder {tracks.folder} does not answer while a track is put into it.",
        hint="Look at the disk or the network that it lies on; the track may be there afterwards.",
        path=str(tracks.folder),
    )
