"""The one thread that generates."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable

from lofi_daemon import cancellation
from lofi_daemon.backends.protocol import Phase, PhaseProgress, ProgressCallback
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import TrackFormat
from lofi_daemon.errors import InternalError, LofiError
from lofi_daemon.jobs.early import HeardCopy
from lofi_daemon.jobs.events import JobCancelled, JobCompleted, JobFailed, LastWord
from lofi_daemon.jobs.job import Job, State
from lofi_daemon.jobs.making import load_for, out_of_memory
from lofi_daemon.jobs.timings import Timings
from lofi_daemon.memory import give_back_freed_memory
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.growing import GrowingTrack

log = logging.getLogger(__name__)

# The editor, the sound and the event loop go before the music that is still being made.
NICENESS = 10


class Worker:
    """Takes one job at a time. Its callbacks are called in its own thread."""

    def __init__(
        self,
        registry: Registry,
        tracks: TrackCache,
        timings: Timings,
        track_format: TrackFormat,
        *,
        in_background: bool = True,
        unload_after_sec: float | None = None,
        on_step: Callable[[Job], None],
        on_audible: Callable[[Job, GrowingTrack], None],
        on_end: Callable[[Job, LastWord], None],
    ) -> None:
        self._registry = registry
        self._tracks = tracks
        self._timings = timings
        self._track_format: TrackFormat = track_format
        self._in_background = in_background
        self._unload_after_sec = unload_after_sec
        self._on_step = on_step
        self._on_audible = on_audible
        self._on_end = on_end
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A model call that cannot be stopped must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)
        self._thread.start()

    def run(self, job: Job) -> None:
        """Begin a job; the one before must have ended."""
        self._inbox.put(job)

    def stop(self) -> None:
        """End the thread after the job it runs."""
        self._inbox.put(None)

    def join(self) -> None:
        """Wait until the thread has ended; for ever, where a model call hangs."""
        self._thread.join()

    def _work(self) -> None:
        if self._in_background:
            lower_priority()
        while (job := self._next_job()) is not None:
            self._on_end(job, self._outcome(job))
            give_back_freed_memory()

    def _next_job(self) -> Job | None:
        """Wait for work; after a while without any, the models' memory is given back."""
        try:
            return self._inbox.get(timeout=self._unload_after_sec)
        except queue.Empty:
            pass
        try:
            self._registry.unload_all()
        except Exception:
            log.exception("The models' memory could not be given back")
        give_back_freed_memory()
        return self._inbox.get()

    def _outcome(self, job: Job) -> LastWord:
        """Run the job. The boundary: whatever is raised in there becomes an event here."""
        try:
            track = self._make(job)
        except cancellation.Cancelled:
            estimate = job.estimator.estimate()
            return JobCancelled(job.track_id, estimate.step, estimate.total_steps)
        except LofiError as error:
            return JobFailed(job.track_id, error)
        except MemoryError:
            return JobFailed(job.track_id, out_of_memory(job.backend))
        # A panic of a library that is written in Rust is no Exception; it must not end the thread.
        except BaseException as error:
            log.exception("Track %s failed", job.track_id)
            return JobFailed(job.track_id, InternalError(f"{type(error).__name__}: {error}"))
        return JobCompleted(
            track,
            self._tracks.path(track),
            track.generation_time_sec,
            job.backend.info.understood(job.request.prompt),
            self._tracks.why_elsewhere(track.track_id),
        )

    def _make(self, job: Job) -> Track:
        backend, token = job.backend, job.token
        report = self._reporter(job)
        _move(job, State.RUNNING)
        token.raise_if_cancelled()
        load_for(self._registry, backend, job.recipe, token, report)
        report(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        job.heard = self._heard_copy(job) if job.early else None
        try:
            return self._finish(job, report)
        except BaseException:
            if job.heard is not None:
                job.heard.close()
            raise

    def _finish(self, job: Job, report: ProgressCallback) -> Track:
        """From the request to the track in its folder; the model is loaded."""
        backend, token, estimator = job.backend, job.token, job.estimator
        # numpy and its kin come in with the model, not when the music is made and only waits.
        from lofi_daemon.tracks.writing import write_track

        clip = backend.generate(job.request, on_progress=report, cancel=token, listener=job.heard)
        if job.heard is not None:
            job.heard.finish()
        report(PhaseProgress(Phase.WRITING, 0, 1, 0.0))
        track = write_track(
            self._tracks,
            clip,
            job.recipe,
            track_format=job.track_format or self._track_format,
            elapsed_sec=estimator.elapsed_sec,
            cancel=token,
            before_commit=lambda: _move(job, State.COMMITTING),
        )
        estimator.finish()
        self._learn(job)
        return track

    def _heard_copy(self, job: Job) -> HeardCopy:
        return HeardCopy(
            self._tracks,
            job.track_id,
            job.request.prompt,
            eta_sec=lambda: job.estimator.estimate().eta_sec,
            on_audible=lambda track: self._on_audible(job, track),
        )

    def _learn(self, job: Job) -> None:
        """What goes wrong here cannot harm a track that is there already."""
        try:
            self._timings.learn(
                job.backend.info.timed_as,
                job.model_version,
                job.workload,
                job.estimator.measured,
            )
        except Exception:
            log.exception("The times of track %s are not remembered", job.track_id)

    def _reporter(self, job: Job) -> Callable[[PhaseProgress], None]:
        def report(progress: PhaseProgress) -> None:
            job.estimator.update(progress)
            if job.heard is not None:
                job.heard.look()
            if progress.phase is Phase.DIFFUSING and progress.done > 0:
                self._on_step(job)

        return report


def _move(job: Job, to: State) -> None:
    """Raises Cancelled where the job was told to stop, or given up, before."""
    if not job.move(to):
        raise cancellation.Cancelled


def lower_priority() -> None:
    """Let everything else go first; threads made by this one inherit it (Linux only)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
