"""A program that is not ours, on a leash: `python leash.py FD PROGRAM ARGUMENT…`.

What we start of our own ends when its input does. Another's program may pay no heed to that, and a
daemon that was killed can end nothing any more. So a second process waits at FD, a pipe that the
daemon holds and never writes to: when it closes, the program has GRACE_SEC to end by itself, and
then its whole process group is killed. The program takes the place of the first process, so that
whoever started it sees its status. POSIX only; run as a file, without the package, to start fast.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# A daemon at the other end of ssh has two seconds to end, and ssh takes the time of the network.
GRACE_SEC = 5.0
POLL_SEC = 0.05
# What a shell says for a program that it cannot start.
NOT_STARTED = 127


def become(lifeline: int, command: list[str]) -> None:
    """Put the program in the place of this process, and its watcher beside it."""
    program = os.getpid()
    between = os.fork()
    if between == 0:  # a program may wait for its children, and the watcher is to be none of them
        if os.fork() == 0:
            _watch(lifeline, program)
        os._exit(0)
    os.waitpid(between, 0)
    os.close(lifeline)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(NOT_STARTED)


def _watch(lifeline: int, program: int) -> None:
    for pipe in (0, 1, 2):  # the program's own, which are to end when it closes them
        os.close(pipe)
    while os.read(lifeline, 1):
        pass
    deadline = time.monotonic() + GRACE_SEC
    while _runs(program):
        if time.monotonic() >= deadline:
            os.killpg(program, signal.SIGKILL)
        time.sleep(POLL_SEC)


def _runs(program: int) -> bool:
    """Its number is nobody else's as long as we are in the group that it leads."""
    try:
        os.kill(program, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
