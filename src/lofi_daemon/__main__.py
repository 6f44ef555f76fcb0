"""`python -m lofi_daemon` and the `lofi-daemon` script."""

from __future__ import annotations

import sys


def main() -> None:
    from lofi_daemon.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
