"""Windows of one track computed at the same time.

Convolutions of few channels keep one core busy better than two, so that two windows side by side,
with a core each, are a sixth cheaper than one after another on both.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from lofi_daemon.onnx.session import SessionSettings

ResultT = TypeVar("ResultT")

AT_ONCE = 2


def shared_out(settings: SessionSettings) -> tuple[int, SessionSettings]:
    """How many calls are made at once, and the settings of the session that takes them.

    Those who wait for their call work too: together they are as many threads as are allowed.
    """
    threads = settings.threads or os.cpu_count() or 1
    workers = min(AT_ONCE, threads) if settings.device in ("cpu", "auto") else 1
    return workers, replace(settings, threads=threads - workers + 1)


def side_by_side(work: Callable[[int], ResultT], count: int, workers: int) -> Generator[ResultT]:
    """What work(0) … work(count − 1) give, in this order, `workers` of them at work at once.

    Closed early, or where one of them raises, it waits for those that have begun, and begins none.
    """
    waiting: deque[Future[ResultT]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for index in range(count):
                waiting.append(pool.submit(work, index))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
