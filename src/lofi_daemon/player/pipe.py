"""The pipe to the player process: requests down, answers and reports up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from lofi_daemon.child import SOUND, child, start
from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError, LofiError
from lofi_daemon.player.reports import PlayerReport, from_message

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_SEC = 10.0
CLOSE_TIMEOUT_SEC = 0.5
_ERRORS: dict[str, type[LofiError]] = {
    error.name: error for error in (AudioDeviceError, AudioPlaybackError)
}


class _PlayerDied(Exception):
    pass


class PlayerPipe:
    """Starts the process with the first request. `on_death` is called when it ends unasked.

    `settings()` gives what a new process is configured with.
    """

    def __init__(
        self,
        on_report: Callable[[PlayerReport], None],
        on_death: Callable[[], Awaitable[None]],
        settings: Callable[[], dict[str, Any]],
    ) -> None:
        self._on_report = on_report
        self._on_death = on_death
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._requests = 0
        self._last_words: deque[str] = deque(maxlen=20)
        self._started_before = False
        self._closing = False

    @property
    def process_id(self) -> int | None:
        """None while no player runs."""
        return self._process.pid if self._process is not None else None

    async def close(self) -> None:
        """Let the process end by itself, or else end it."""
        self._closing = True
        self._leave_unanswered(_PlayerDied())
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), CLOSE_TIMEOUT_SEC)
            except asyncio.TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for task in self._tasks:
            task.cancel()

    async def request(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """Ask, and ask the next process when this one dies over it; twice is its own fault."""
        for _ in range(2):
            if self._closing:
                raise AudioPlaybackError(
                    f"The player ends, and '{name}' is not done any more.",
                    hint="Start lofi again.",
                )
            try:
                return await self._ask(await self._running_process(), name, arguments or {})
            except _PlayerDied:
                continue
        raise AudioPlaybackError(
            f"The player died twice over '{name}'.", hint="The log on stderr says why (:Lofi log)."
        )

    async def _ask(
        self, process: asyncio.subprocess.Process, name: str, arguments: dict[str, Any]
    ) -> Any:
        assert process.stdin is not None
        self._requests += 1
        request_id = self._requests
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        line = json.dumps({"id": request_id, "do": name, **arguments}).encode() + b"\n"
        try:
            process.stdin.write(line)
            return await asyncio.wait_for(answer, ANSWER_TIMEOUT_SEC)
        except (ConnectionError, RuntimeError) as error:
            raise _PlayerDied from error
        except asyncio.TimeoutError:
            process.kill()
            raise AudioDeviceError(
                f"The player did not answer '{name}' within {ANSWER_TIMEOUT_SEC:.0f} s.",
                hint="The sound system may hang; try again, or choose another device.",
            ) from None
        finally:
            self._answers.pop(request_id, None)

    async def _running_process(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                self._process = await self._start()
                again, self._started_before = self._started_before, True
                await self._ask(self._process, "configure", {**self._settings(), "again": again})
            return self._process

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        player = child("lofi_daemon.player", also=SOUND)
        process = await start(player, stdin=pipe, stdout=pipe, stderr=pipe)
        for work in (self._read_answers(process), self._read_log(process)):
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._work_done)
        return process

    def _work_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None:
            log.error("The player's handle failed", exc_info=defect)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text)
            log.debug("player: %s", text)

    async def _read_answers(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            message = json.loads(line)
            if "event" in message:
                self._on_report(from_message(message))
            else:
                self._take_answer(message)
        await process.wait()
        if not self._closing:
            self._bury(process)
            await self._on_death()

    def _bury(self, process: asyncio.subprocess.Process) -> None:
        if self._process is process:
            self._process = None
        self._leave_unanswered(_PlayerDied())
        log.warning(
            "The player ended with status %s.%s",
            process.returncode,
            "".join(f"\n  {line}" for line in self._last_words),
        )

    def _leave_unanswered(self, error: _PlayerDied) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)

    def _take_answer(self, message: dict[str, Any]) -> None:
        answer = self._answers.get(message["id"])
        if answer is None or answer.done():
            return
        problem = message.get("error")
        if problem is None:
            answer.set_result(message["result"])
        else:
            error = _ERRORS.get(problem["name"], AudioPlaybackError)
            answer.set_exception(error(problem["message"], hint=problem["hint"]))
