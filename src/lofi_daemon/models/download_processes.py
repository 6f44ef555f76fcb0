"""The downloads of a daemon: one process a model, however many ask for it.

Lives in the daemon's event loop and imports nothing heavy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lofi_daemon.child import NETWORK, child, start
from lofi_daemon.errors import LofiError, ModelDownloadFailed
from lofi_daemon.models.model_files import ModelFiles

log = logging.getLogger(__name__)

END_TIMEOUT_SEC = 10.0
"""How long the process may take to end when it has said its last word."""
BEGUN = {
    "component": "the list of files",
    "component_percent": 0,
    "overall_percent": 0,
    "bytes_downloaded": 0,
    "bytes_total": 0,
    "file_name": "asking the Hub",
    "files_completed": 0,
    "files_total": 0,
}
"""The figures of a download that knows nothing yet."""


@dataclass(frozen=True)
class Progressed:
    """figures: the fields of DownloadProgress."""

    model: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Downloaded:
    model: str


@dataclass(frozen=True)
class DownloadFailed:
    model: str
    error: LofiError


DownloadEvent = Progressed | Downloaded | DownloadFailed


class DownloadProcesses:
    """Starts, watches and stops download processes. A cancelled one ends without an event."""

    def __init__(self, on_event: Callable[[DownloadEvent], None]) -> None:
        self._on_event = on_event
        self._running: dict[str, asyncio.Task[None]] = {}

    def is_running(self, model: str) -> bool:
        return model in self._running

    def start(self, files: ModelFiles[Any]) -> bool:
        """Begin to download a model, unless that is going on already (then False)."""
        model = files.type
        if model in self._running:
            return False
        repository = files.configuration.repository
        arguments = [str(files.published), str(files.folder), *([repository] if repository else [])]
        self._running[model] = asyncio.get_running_loop().create_task(self._watch(model, arguments))
        return True

    def cancel(self, model: str) -> bool:
        """Stop the download at once; what has arrived stays. False when there was none."""
        task = self._running.pop(model, None)
        return task is not None and task.cancel()

    async def close(self) -> None:
        """Stop all of them and wait until their processes are gone."""
        tasks = list(self._running.values())
        for model in list(self._running):
            self.cancel(model)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, model: str, arguments: list[str]) -> None:
        try:
            outcome = await self._run(model, arguments)
        except OSError as error:
            outcome = _failed(model, f"The download process cannot be started: {error}.")
        except Exception as error:
            log.error("The download of %s is not understood", model, exc_info=error)
            outcome = _failed(
                model, f"The download process said what is not understood ({error!r:.200})."
            )
        finally:
            # The model is ready, or free to be asked for again, when the news of it arrives.
            if self._running.get(model) is asyncio.current_task():
                del self._running[model]
        self._on_event(outcome)

    async def _run(self, model: str, arguments: list[str]) -> DownloadEvent:
        pipe = asyncio.subprocess.PIPE
        process = await start(
            child("lofi_daemon.models", *arguments, also=NETWORK), stdin=pipe, stdout=pipe
        )
        assert process.stdout is not None
        outcome: DownloadEvent | None = None
        # The Hub may be slow to answer, or not there; the download is seen to be under way.
        self._on_event(Progressed(model, dict(BEGUN)))
        try:
            async for line in process.stdout:
                event = _event(model, line)
                if isinstance(event, Progressed):
                    self._on_event(event)
                else:
                    outcome = event
            status = await asyncio.wait_for(process.wait(), END_TIMEOUT_SEC)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return outcome or _failed(
            model, f"The download process ended with status {status}, before it was done."
        )


def _failed(model: str, message: str) -> DownloadFailed:
    return DownloadFailed(model, ModelDownloadFailed(message))


def _event(model: str, line: bytes) -> DownloadEvent:
    """What a line of the process means. Raises ValueError, LookupError, TypeError."""
    message: dict[str, Any] = json.loads(line)
    if "progress" in message:
        return Progressed(model, message["progress"])
    if "complete" in message:
        return Downloaded(model)
    error = message["error"]
    return DownloadFailed(
        model, ModelDownloadFailed(error["message"], hint=error["hint"], **error["data"])
    )
