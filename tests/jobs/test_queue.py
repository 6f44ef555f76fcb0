"""Who goes next: priority, then arrival, and the radio after everybody."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.errors import QueueFull
from lofi_daemon.jobs.estimate import Estimator
from lofi_daemon.jobs.job import Job, Priority
from lofi_daemon.jobs.queue import MAX_WAITING, JobQueue
from lofi_daemon.tracks import Recipe
from tests.tone_backend import ToneBackend

HIGH, NORMAL, PREFETCH = Priority.HIGH, Priority.NORMAL, Priority.PREFETCH


def job(name: str, priority: Priority = NORMAL) -> Job:
    recipe = Recipe("tone", "1", GenerationRequest(name, 30.0, 0))
    return Job(ToneBackend(), recipe, priority, {}, Estimator({}, 0))


def filled(*jobs: Job) -> JobQueue:
    queue = JobQueue()
    for each in jobs:
        queue.add(each)
    return queue


def order(queue: JobQueue) -> str:
    return "".join(each.request.prompt for each in queue)


def test_first_come_first_served_within_a_priority() -> None:
    queue = filled(job("a"), job("b"), job("c"))
    assert order(queue) == "abc"
    first = queue.take_next()
    assert first is not None
    assert first.request.prompt == "a"


def test_high_before_normal_before_the_radio() -> None:
    queue = filled(job("r", PREFETCH), job("a"), job("H", HIGH), job("b"), job("I", HIGH))
    assert order(queue) == "HIabr"


def test_positions_count_from_one() -> None:
    queue = JobQueue()
    assert queue.add(job("r", PREFETCH)) == 1
    assert queue.add(job("a")) == 1
    assert queue.add(job("b")) == 2
    assert queue.add(job("H", HIGH)) == 1


def test_ten_wait_and_the_eleventh_is_told_how_long() -> None:
    queue = filled(*(job(str(n)) for n in range(MAX_WAITING)))
    with pytest.raises(QueueFull) as error:
        queue.add(job("x", HIGH), estimated_wait_sec=61.26)
    assert error.value.data == {"position": 11, "estimated_wait_sec": 61.3}
    assert len(queue) == MAX_WAITING


def test_the_radio_never_fills_the_queue() -> None:
    queue = filled(*(job(str(n), PREFETCH) for n in range(15)))
    for n in range(MAX_WAITING):
        queue.add(job(f"user {n}"))
    assert queue.add(job("r", PREFETCH)) == 26


def test_a_second_more_urgent_request_moves_the_job_forward_only() -> None:
    late = job("b", PREFETCH)
    queue = filled(job("a"), late, job("c"))
    assert queue.raise_priority(late, PREFETCH) == 3
    assert queue.raise_priority(late, HIGH) == 1
    assert queue.raise_priority(late, NORMAL) == 1
    assert order(queue) == "bac"


def test_remove_and_clear() -> None:
    a, b, c = job("a"), job("b"), job("c")
    queue = filled(a, b, c)
    queue.remove(b)
    assert queue.find(b.track_id) is None
    assert queue.clear() == [a, c]
    assert queue.take_next() is None
