"""A job's states: who may move it where, and what cancelling means against committing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.jobs.estimate import Estimator
from lofi_daemon.jobs.job import Job, Priority, State
from lofi_daemon.tracks import Recipe
from tests.tone_backend import ToneBackend

WAY = [State.WAITING, State.STARTING, State.RUNNING, State.COMMITTING, State.OVER]


def new_job(state: State = State.WAITING) -> Job:
    recipe = Recipe("tone", "1", GenerationRequest("rain", 30.0, 0))
    job = Job(ToneBackend(), recipe, Priority.NORMAL, {}, Estimator({}, 0))
    for each in WAY[1 : WAY.index(state) + 1]:
        assert job.move(each)
    return job


@pytest.mark.parametrize("start", WAY)
@pytest.mark.parametrize("to", WAY)
def test_a_job_moves_to_the_next_state_or_to_the_end(start: State, to: State) -> None:
    job = new_job(start)
    allowed = start is not State.OVER and (
        to is State.OVER or WAY.index(to) == WAY.index(start) + 1
    )
    assert job.move(to) is allowed
    assert job.state is (to if allowed else start)


@pytest.mark.parametrize("state", WAY)
def test_cancelling_is_too_late_once_the_track_is_being_put_into_the_folder(state: State) -> None:
    job = new_job(state)
    too_late = state in (State.COMMITTING, State.OVER)
    assert job.cancel() is not too_late
    assert job.token.cancelled is not too_late


class SlowToken(CancelToken):
    """Time passes before it is set, and the worker uses it."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def cancel(self) -> None:
        worker = threading.Thread(target=self._meanwhile)
        worker.start()
        worker.join(0.2)  # it waits for the lock, or is done
        super().cancel()
        self.worker = worker


def test_a_job_that_said_it_is_cancelled_never_commits() -> None:
    """The worker asks at the very moment in which the job is told to stop."""
    job = new_job(State.RUNNING)
    moved: list[bool] = []
    job.token = token = SlowToken(lambda: moved.append(job.move(State.COMMITTING)))
    assert job.cancel()
    token.worker.join()
    assert moved == [False]
