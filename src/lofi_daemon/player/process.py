"""The daemon's handle on the player process: commands down, events up.

The process starts with the first playback. When it dies it is started again and goes on where it
was. Everything here runs in the daemon's event loop; no audio library is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lofi_daemon
from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError, LofiError
from lofi_daemon.player.events import (
    DeviceLost,
    Ended,
    PlayerEvent,
    Position,
    Started,
    Stopped,
    from_message,
)

log = logging.getLogger(__name__)

PlaybackState = Literal["playing", "paused", "stopped"]

ANSWER_TIMEOUT_SEC = 10.0
CLOSE_TIMEOUT_SEC = 0.5
MAX_RESTARTS = 5
RESTART_WINDOW_SEC = 60.0
DEVICE_RETRY_SEC = 1.0
DEVICE_TRIES = 60
_ERRORS: dict[str, type[LofiError]] = {
    error.name: error for error in (AudioDeviceError, AudioPlaybackError)
}


@dataclass(frozen=True)
class Item:
    """One turn of one track: a number of its own, an absolute path, a linear gain."""

    entry: int
    path: Path
    gain: float


class _PlayerDied(Exception):
    pass


class PlayerProcess:
    """State as it was last reported, and one coroutine for each thing a player can be told.

    Coroutines raise AudioDeviceError and AudioPlaybackError.
    """

    def __init__(
        self,
        on_event: Callable[[PlayerEvent], None],
        *,
        device: str | None = None,
        volume: float = 0.5,
        crossfade_sec: float = 2.0,
    ) -> None:
        self.state: PlaybackState = "stopped"
        self.volume = volume
        self.crossfade_sec = crossfade_sec
        self.device = device
        self.duration_sec = 0.0
        self.underruns = 0
        self._on_event = on_event
        self._current: Item | None = None
        self._coming: Item | None = None
        self._next: Item | None = None
        self._position_sec = 0.0
        self._position_at = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._requests = 0
        self._deaths: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._last_words: deque[str] = deque(maxlen=20)
        self._closing = False

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def current(self) -> Item | None:
        return self._current

    @property
    def position_sec(self) -> float:
        """Seconds into the playing track, counted on from the last report."""
        position = self._position_sec
        if self.state == "playing":
            position += time.monotonic() - self._position_at
        return min(position, self.duration_sec)

    # -- commands ------------------------------------------------------------------------------

    async def play(self, item: Item, *, position_sec: float = 0.0, crossfade: bool = True) -> None:
        """Sound this now; what plays crosses over into it."""
        self._coming = item
        await self._request(
            "play",
            {**_as_arguments(item), "position_sec": position_sec, "crossfade": crossfade},
        )

    async def set_next(self, item: Item | None) -> None:
        """Raises AudioPlaybackError when the file cannot be played; nothing is next then."""
        self._next = None
        if self.running:
            await self._request("next", {"entry": None} if item is None else _as_arguments(item))
        self._next = item

    async def skip(self) -> None:
        if self.running:
            await self._request("skip")

    async def pause(self) -> None:
        if self.state == "playing":
            self._set_position(self.position_sec)
            self.state = "paused"
            await self._request("pause")

    async def resume(self) -> None:
        if self.state != "paused":
            return
        if self.running:
            await self._request("resume")
            self._position_at = time.monotonic()
            self.state = "playing"
        elif self._current is not None:
            await self._play_on(self._current, self._next)

    async def stop(self) -> None:
        if self.running and self.state != "stopped":
            await self._request("stop")
        self._forget()

    async def seek(self, position_sec: float) -> None:
        if self.state != "stopped" and self.running:
            await self._request("seek", {"position_sec": position_sec})
        self._set_position(position_sec)

    async def set_volume(self, volume: float) -> None:
        self.volume = volume
        if self.running:
            await self._request("volume", {"volume": volume})

    async def set_crossfade(self, seconds: float) -> None:
        self.crossfade_sec = seconds
        if self.running:
            await self._request("crossfade", {"seconds": seconds})

    async def set_device(self, name: str | None) -> None:
        """None is the system's default. Raises AudioDeviceError; the old device stays then."""
        await self._request("device", {"name": name})
        self.device = name

    async def open_device(self) -> None:
        """Be ready to sound. Raises AudioDeviceError when that cannot be."""
        await self._request("open")

    async def devices(self) -> list[dict[str, Any]]:
        return await self._request("devices")

    async def close(self) -> None:
        """Let the sound ramp down and the process end."""
        self._closing = True
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

    # -- the pipe ------------------------------------------------------------------------------

    async def _request(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """Ask, and ask the next process when this one dies over it; twice is its own fault."""
        for _ in range(2):
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
                settings = {
                    "volume": self.volume,
                    "crossfade_sec": self.crossfade_sec,
                    "device": self.device,
                }
                await self._ask(self._process, "configure", settings)
            return self._process

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lofi_daemon.player",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # python -m searches the working folder first, and a user's may hold anything
            cwd=Path(lofi_daemon.__file__).parent.parent,
        )
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
                self._take_event(from_message(message))
            else:
                self._take_answer(message)
        await process.wait()
        if not self._closing:
            await self._on_death(process)

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

    def _take_event(self, event: PlayerEvent) -> None:
        if isinstance(event, Started):
            for item in (self._coming, self._next):
                if item is not None and item.entry == event.entry:
                    self._current = item
            if self._current is self._next:
                self._next = None
            self.duration_sec = event.duration_sec
            self._set_position(event.position_sec)
            self.state = "playing"
        elif isinstance(event, Stopped):
            self._forget()
        elif isinstance(event, Position):
            if self._current is None or event.entry != self._current.entry:
                return
            self.underruns = event.underruns
            if self.state == "playing":
                self._set_position(event.position_sec)
        elif isinstance(event, DeviceLost):
            self.device = None
        self._on_event(event)

    def _set_position(self, position_sec: float) -> None:
        self._position_sec = position_sec
        self._position_at = time.monotonic()

    def _forget(self) -> None:
        self.state = "stopped"
        self._current = self._next = None
        self._set_position(0.0)
        self.duration_sec = 0.0

    # -- when the player dies --------------------------------------------------------------------

    async def _on_death(self, process: asyncio.subprocess.Process) -> None:
        if self._process is process:
            self._process = None
        position_sec = self.position_sec
        self._set_position(position_sec)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_PlayerDied())
        log.warning(
            "The player ended with status %s.%s",
            process.returncode,
            "".join(f"\n  {line}" for line in self._last_words),
        )
        if self.state == "playing" and self._current is not None:
            await self._restart(self._current)

    async def _restart(self, current: Item) -> None:
        now = time.monotonic()
        if len(self._deaths) == MAX_RESTARTS and now - self._deaths[0] < RESTART_WINDOW_SEC:
            self._give_up(current, f"The player died {MAX_RESTARTS} times within a minute")
            return
        self._deaths.append(now)
        problem: LofiError = AudioPlaybackError("The player could not be started again.")
        for _ in range(DEVICE_TRIES):
            try:
                await self._play_on(current, self._next)
                return
            except AudioDeviceError as error:
                problem = error
                log.warning("%s Trying again.", error.message)
                await asyncio.sleep(DEVICE_RETRY_SEC)
            except AudioPlaybackError as error:
                problem = error
                break
            if self._current is not current or self.state != "playing":
                return
        self._give_up(current, problem.message)

    async def _play_on(self, current: Item, following: Item | None) -> None:
        """In a new process, from where the old one was."""
        await self.play(current, position_sec=self._position_sec, crossfade=False)
        await self.set_next(following)

    def _give_up(self, current: Item, message: str) -> None:
        self._forget()
        self._on_event(Ended(current.entry, "error", message))
        self._on_event(Stopped())


def _as_arguments(item: Item) -> dict[str, Any]:
    return {"entry": item.entry, "path": str(item.path), "gain": item.gain}
