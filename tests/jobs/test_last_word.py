"""Every accepted job ends in exactly one last word: generated stories of requests, cancels, model
calls that end, fail and hang, and the daemon's own end, on a clock that the story moves."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError, ModelInferenceFailed, ShuttingDown
from lofi_daemon.jobs import jobs as jobs_module
from lofi_daemon.jobs.events import (
    JobAdvanced,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    LastWord,
)
from lofi_daemon.jobs.job import Job, State
from lofi_daemon.jobs.jobs import MAX_HUNG, Jobs
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.tracks import Track
from tests.tone_backend import ToneBackend


class StoryLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes when the story says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(selectors.SelectSelector())

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        for _ in range(5):
            self.run_until_complete(asyncio.sleep(0))


class Puppet:
    """A worker whose thread is the story: it takes a job and does what it is told."""

    made: list[Puppet]

    def __init__(
        self, *_: object, on_step: Any, on_end: Callable[[Job, LastWord], None], **__: Any
    ):
        self.on_step, self.on_end = on_step, on_end
        self.job: Job | None = None
        self.over = threading.Event()
        Puppet.made.append(self)

    def run(self, job: Job) -> None:
        assert self.job is None, "one job at a time"
        self.job = job

    def stop(self) -> None: ...

    def join(self) -> None:
        if self.job is not None:
            self.over.wait(20)

    def end(self, word: LastWord) -> None:
        job, self.job = self.job, None
        assert job is not None
        self.on_end(job, word)


class Shelf:
    """Tracks that were committed."""

    folder = Path("/shelf")

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}

    def find(self, track_id: str) -> Track | None:
        return self.tracks.get(track_id)

    def path(self, track: Track) -> Path:
        return self.folder / track.file

    def abandon(self) -> None: ...


def a_track(job: Job) -> Track:
    return Track(
        track_id=job.track_id, file=f"{job.track_id}.wav", backend="demo", model_version="1",
        prompt=job.request.prompt, duration_sec=5.0, seed=1, sample_rate=48000, channels=2, bytes=1,
        created_at="2026-01-01T00:00:00.000Z", generation_time_sec=1.0, loudness_lufs=-16.0,
        waveform=[0.0],
    )  # fmt: skip


class Story(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        Puppet.made = []
        self.loop = StoryLoop()
        self.shelf = Shelf()
        self.open: set[str] = set()
        self.wrong: list[str] = []
        self.closing = False
        settings = Settings(tracks_folder=Path("/nowhere"))
        registry = Registry(settings, {"demo": lambda _: ToneBackend()})
        with (
            patch.object(jobs_module, "Worker", Puppet),
            patch.object(jobs_module.Timings, "learn", lambda *_: None),
        ):
            self.jobs = self.loop.run_until_complete(self._make(settings, registry))
        self.jobs.subscribe(self._hear)

    async def _make(self, settings: Settings, registry: Registry) -> Jobs:
        jobs = Jobs(settings, registry, self.shelf)  # pyright: ignore[reportArgumentType]
        jobs._timings = jobs_module.Timings()  # pyright: ignore[reportPrivateUsage]
        return jobs

    def _hear(self, event: JobEvent) -> None:
        if isinstance(event, JobCompleted) and event.generation_time_sec == 0.0:
            return  # of a cached track: nobody was accepted
        if event.track_id not in self.open:  # what a listener raises goes to the log
            self.wrong.append(f"{event} after the last word")
        elif not isinstance(event, JobAdvanced):
            self.open.remove(event.track_id)

    @property
    def worker(self) -> Puppet:
        return Puppet.made[-1]

    def busy(self) -> bool:
        return self.worker.job is not None

    # -- what clients do

    @rule(prompt=st.sampled_from("abcde"), prefetch=st.booleans(), high=st.booleans())
    def submit(self, prompt: str, prefetch: bool, high: bool) -> None:
        parameters = GenerationParameters(
            prompt=prompt, seed=1, duration_sec=5.0, priority="high" if high else "normal"
        )
        try:
            with patch.object(jobs_module, "Worker", Puppet):
                ticket = self.jobs.submit(parameters, prefetch=prefetch)
        except ShuttingDown:
            assert self.closing
            return
        except ModelInferenceFailed:
            assert len(Puppet.made) > MAX_HUNG
            return
        assert not self.closing
        if ticket.status != "cached":
            self.open.add(ticket.track_id)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.open:
            return
        track_id = data.draw(st.sampled_from(sorted(self.open)))
        committing = self.busy() and self.worker.job.state is State.COMMITTING  # pyright: ignore
        try:
            self.jobs.cancel(track_id)
        except LofiError:
            is_it = committing and self.worker.job.track_id == track_id  # pyright: ignore
            assert is_it or self.jobs.find(track_id) is None

    @rule()
    def clear(self) -> None:
        self.jobs.clear()

    @rule()
    def stop_accepting(self) -> None:
        self.closing = True
        self.jobs.stop_accepting()

    # -- what time does

    @rule(seconds=st.sampled_from([0.0, 0.011, 0.16, 1.0]))
    def wait(self, seconds: float) -> None:
        self.loop.now += seconds
        with patch.object(jobs_module, "Worker", Puppet):
            self.loop.settle()

    @precondition(busy)
    @rule()
    def hang(self) -> None:
        """The thread never comes back, and after a while the next job has another one."""
        self.loop.now += 3000.0
        before = len(Puppet.made)
        with patch.object(jobs_module, "Worker", Puppet):
            self.loop.settle()
        assert len(Puppet.made) == before + 1

    # -- what the model does

    @precondition(busy)
    @rule()
    def run(self) -> None:
        job = self.worker.job
        assert job is not None
        if not job.move(State.RUNNING) and job.state is not State.RUNNING:
            self._end(JobCancelled(job.track_id, 0, 0))

    @precondition(busy)
    @rule()
    def report(self) -> None:
        job = self.worker.job
        assert job is not None
        job.estimator.update(PhaseProgress(Phase.DIFFUSING, 1, 10, 0.1))
        self.worker.on_step(job)

    @precondition(busy)
    @rule()
    def commit(self) -> None:
        job = self.worker.job
        assert job is not None
        cancelled = job.token.cancelled
        if job.state in (State.RUNNING, State.OVER):
            if job.move(State.COMMITTING):
                assert not cancelled
            else:
                self._end(JobCancelled(job.track_id, 0, 0))

    @precondition(busy)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        job = self.worker.job
        assert job is not None
        if fails:
            self._end(JobFailed(job.track_id, ModelInferenceFailed("no")))
        elif job.state is State.COMMITTING:
            track = self.shelf.tracks[job.track_id] = a_track(job)
            self._end(JobCompleted(track, self.shelf.path(track), 1.0))

    def _end(self, word: LastWord) -> None:
        self.worker.end(word)
        with patch.object(jobs_module, "Worker", Puppet):
            self.loop.settle()

    @rule()
    def come_back(self) -> None:
        """A thread that was given up ends after all."""
        for worker in Puppet.made[:-1]:
            if worker.job is not None:
                worker.end(JobFailed(worker.job.track_id, ModelInferenceFailed("late")))
        with patch.object(jobs_module, "Worker", Puppet):
            self.loop.settle()

    # -- what must be true

    @invariant()
    def who_is_known_is_open(self) -> None:
        assert self.wrong == []
        known = [job.track_id for job in self.jobs.waiting]
        if self.jobs.current is not None:
            known.append(self.jobs.current[0].track_id)
        assert len(known) == len(set(known))
        assert set(known) <= self.open

    def teardown(self) -> None:
        if not hasattr(self, "jobs"):
            return
        with patch.object(jobs_module, "Worker", Puppet):
            self.loop.settle()
            closing = self.loop.create_task(self.jobs.close(0.1))
            for _ in range(1000):
                self.loop.now += 0.05
                self.loop.settle()
                if closing.done():
                    break
                time.sleep(0.001)
        assert closing.done()
        self.loop.now += 1.0
        self.loop.settle()
        for worker in Puppet.made:
            worker.over.set()
        assert self.wrong == []
        assert self.open == set()
        self.loop.close()


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
