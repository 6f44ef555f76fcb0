"""Windows at work at the same time come out in their order, and nothing is left at work."""

from __future__ import annotations

import threading
import time

import pytest

from lofi_daemon.backends.kit.side_by_side import AT_ONCE, shared_out, side_by_side
from lofi_daemon.onnx.session import SessionSettings

PATIENCE_SEC = 30.0


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_what_they_give_comes_in_order(count: int) -> None:
    def work(index: int) -> int:
        time.sleep(0.002 * (count - index))
        return 10 * index

    assert list(side_by_side(work, count, 3)) == [10 * index for index in range(count)]


def test_so_many_are_at_work_at_once() -> None:
    """Each waits for another one: one after another, they would wait for ever."""
    meeting = threading.Barrier(2, timeout=PATIENCE_SEC)
    assert len(list(side_by_side(lambda index: meeting.wait(), 6, 2))) == 6


def test_closed_early_it_begins_no_more_and_leaves_nothing_at_work() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work(index: int) -> int:
        begun.append(index)
        time.sleep(0.01)
        ended.append(index)
        return index

    results = side_by_side(work, 100, 2)
    assert next(results) == 0
    results.close()
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 10


def test_an_error_comes_out_where_its_result_would() -> None:
    def work(index: int) -> int:
        if index == 1:
            raise ValueError("one")
        return index

    results = side_by_side(work, 100, 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)


@pytest.mark.parametrize(
    ("threads", "device", "workers", "of_the_session"),
    [(1, "cpu", 1, 1), (2, "cpu", AT_ONCE, 1), (8, "auto", AT_ONCE, 7), (8, "cuda", 1, 8)],
)
def test_callers_and_the_sessions_threads_are_as_many_as_allowed(
    threads: int, device: str, workers: int, of_the_session: int
) -> None:
    found, settings = shared_out(SessionSettings(device=device, threads=threads))
    assert (found, settings.threads, settings.device) == (workers, of_the_session, device)
