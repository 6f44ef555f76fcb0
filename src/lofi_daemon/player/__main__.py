"""The player process: it ends when its stdin closes, so it never outlives a killed daemon.

No inference library is imported here, so it starts fast and stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading


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


def main() -> None:
    # Ctrl-C in a terminal reaches the whole group; the daemon decides when the player ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # before the imports: on a busy machine they are what takes the time, and threads inherit it
    raise_priority()
    sys.setswitchinterval(0.001)
    from lofi_daemon.player.player import Player

    player = Player(output)
    threading.Thread(target=player.feed, name="feeder", daemon=True).start()
    player.serve(sys.stdin.buffer)
    # a device whose server hangs must not keep the process alive
    os._exit(0)


if __name__ == "__main__":
    main()
