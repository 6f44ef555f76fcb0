"""What runs in the child of a download test: the real download, its outcome sent up a pipe."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.models.download import DownloadProgress, download, plan_download
from lofi_daemon.models.transfer import Retries

QUICK = Retries(attempts=4, wait_sec=0.01)


@dataclass
class Outcome:
    """error: (name, message, hint, data) of the LofiError, None when the download was completed."""

    error: tuple[str, str, str, dict[str, Any]] | None = None
    progress: list[DownloadProgress] = field(default_factory=list)


def run_download(
    pipe: Connection, model: str, folder: Path, repository: str | None, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    outcome = Outcome()
    try:
        published = Registry(Settings()).files(model).source(repository)
        token = CancelToken()
        plan = plan_download(published, folder, token, retries=QUICK)
        download(plan, folder, outcome.progress.append, token, retries=QUICK)
    except LofiError as error:
        outcome.error = (error.name, error.message, error.hint, error.data)
    pipe.send(outcome)
