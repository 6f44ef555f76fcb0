"""The player process: it ends when its stdin closes, so it never outlives a killed daemon.

No inference library is imported here, so it starts fast and stays small.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from lofi_daemon.player.priority import raise_priority
from lofi_daemon.text import show_log


def main() -> None:
    # Ctrl-C in a terminal reaches the whole group; the daemon decides when the player ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    show_log()
    # before the imports: on a busy machine they are what takes the time, and threads inherit it
    raise_priority()
    sys.setswitchinterval(0.001)
    from lofi_daemon.player.commands import Player

    player = Player(output)
    threading.Thread(target=player.feed, name="feeder", daemon=True).start()
    player.serve(sys.stdin.buffer)
    # a device whose server hangs must not keep the process alive
    os._exit(0)


if __name__ == "__main__":
    main()
