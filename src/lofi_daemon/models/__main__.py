"""The download process: `python -m lofi_daemon.models PUBLISHED FOLDER [REPOSITORY]`.

PUBLISHED is the path of the document that says what there is to download.

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
from lofi_daemon.models.published import from_source, parse_source, read_published
from lofi_daemon.text import show_log


def main(document: str, folder: str, repository: str | None = None) -> None:
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

        published = read_published(Path(document))
        if repository is not None:
            published = from_source(published, parse_source(repository))
        plan = plan_download(published, Path(folder), token)
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
