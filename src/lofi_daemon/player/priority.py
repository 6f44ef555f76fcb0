"""Going before other work, as far as the system lets an ordinary process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

# from <sys/mman.h>: what is mapped now, each page from when it is first used
MCL_CURRENT, MCL_ONFAULT = 1, 4


def raise_priority() -> None:
    """Go before ordinary work where the system lets us; where it does not, play on as we are."""
    if sys.platform == "win32":
        high_priority = 0x80
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), high_priority)
        return
    # Niceness counts only within a session (autogroups), a real-time class counts everywhere.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -11)


def keep_in_memory() -> None:
    """Have what is in use stay in memory, so that no page must come from a busy disk in time.

    For Linux, and where it is allowed; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_ONFAULT)
