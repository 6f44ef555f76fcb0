"""`python -m lofi_daemon` and the `lofi-daemon` script."""

from __future__ import annotations

import os
import sys


def main() -> None:
    # Looking for pydantic plugins among the installed packages takes a tenth of the start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from lofi_daemon.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
