"""The download process: `python -m lofi_daemon.models MODEL FOLDER [REPOSITORY]`.

A process of its own can be stopped at any instant, in the middle of a stalled connection too, and
keeps network and hashing out of the daemon. It writes one JSON object a line: the progress, then
`{"complete": true}` or `{"error": {...}}`. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import LofiError
from lofi_daemon.models.hub import check_environment
from lofi_daemon.models.manifest import from_source, load_manifest, parse_source
from lofi_daemon.text import show_log


def main(model: str, folder: str, repository: str | None = None) -> None:
    # What a library prints goes to the log, so that every line on stdout is ours.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    show_log()

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=output, flush=True)

    threading.Thread(target=_end_with_parent, daemon=True).start()
    token = CancelToken()
    try:
        check_environment()
        from lofi_daemon.models.download import download, plan_download

        manifest = load_manifest(model)
        if repository is not None:
            manifest = from_source(manifest, parse_source(repository))
        plan = plan_download(manifest, Path(folder), token)
        download(plan, Path(folder), lambda done: tell({"progress": asdict(done)}), token)
        tell({"complete": True})
    except LofiError as error:
        tell({"error": {"message": error.message, "hint": error.hint, "data": error.data}})


def _end_with_parent() -> None:
    # Not through sys.stdin: its lock, held by a waiting thread, would break the interpreter's end.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
