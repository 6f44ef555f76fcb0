"""The command line."""

from __future__ import annotations

import sys


def run(arguments: list[str]) -> int:
    import os
    from lofi_daemon.config import load_settings
    from lofi_daemon.rpc.server import serve
    serve(load_settings(os.environ))
