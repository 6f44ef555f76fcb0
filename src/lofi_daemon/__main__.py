"""`python -m lofi_daemon` and the `lofi-daemon` script."""

from __future__ import annotations

import gc
import os
import sys

# What is imported stays. Looking through it for what could go, after every 700 new objects as
# Python does by itself, takes a twentieth of the start.
GARBAGE_AFTER = 20_000


def main() -> None:
    gc.set_threshold(GARBAGE_AFTER)
    # Looking for pydantic plugins among the installed packages takes a tenth of the start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from lofi_daemon.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
