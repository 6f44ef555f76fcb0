"""Which job goes next."""

from __future__ import annotations

from collections.abc import Iterator

from lofi_daemon.errors import QueueFull
from lofi_daemon.jobs.job import Job, Priority

MAX_WAITING = 10


class JobQueue:
    """Jobs that wait, by priority and then by arrival.

    At most ten may wait. The radio's prefetching does not count: it limits itself, and must not
    make a listener's request fail.
    """

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        """In the order in which they will run."""
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job, *, estimated_wait_sec: float = 0.0) -> int:
        """Put the job behind all of its priority; its position, from 1.

        Raises QueueFull, with the position the job would have had and the wait in seconds.
        """
        waiting = sum(other.priority is not Priority.PREFETCH for other in self._jobs)
        if job.priority is not Priority.PREFETCH and waiting >= MAX_WAITING:
            raise QueueFull(
                f"{waiting} tracks wait already; a place is free in about "
                f"{max(1, round(estimated_wait_sec))} s.",
                position=waiting + 1,
                estimated_wait_sec=round(estimated_wait_sec, 1),
            )
        index = sum(other.priority <= job.priority for other in self._jobs)
        self._jobs.insert(index, job)
        return index + 1

    def raise_priority(self, job: Job, priority: Priority) -> int:
        """Let a waiting job go earlier, never later; its position.

        A second request for a track that waits may be more urgent than the first.
        """
        if priority < job.priority:
            self._jobs.remove(job)
            job.priority = priority
            index = sum(other.priority <= priority for other in self._jobs)
            self._jobs.insert(index, job)
        return self.position(job)

    def position(self, job: Job) -> int:
        return self._jobs.index(job) + 1

    def find(self, track_id: str) -> Job | None:
        return next((job for job in self._jobs if job.track_id == track_id), None)

    def take_next(self) -> Job | None:
        return self._jobs.pop(0) if self._jobs else None

    def remove(self, job: Job) -> None:
        self._jobs.remove(job)

    def clear(self) -> list[Job]:
        """Forget all; what was forgotten, in order."""
        jobs, self._jobs = self._jobs, []
        return jobs
