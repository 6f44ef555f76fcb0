"""lofi-daemon with one line more in its registry: `python -m tests.toy …`."""

from __future__ import annotations

import sys

from lofi_daemon.backends import registry
from tests.toy.backend import toy_backend

registry.FACTORIES["toy"] = toy_backend

from lofi_daemon.cli import run  # noqa: E402

sys.exit(run(sys.argv[1:]))
