"""One music for all editors on one cache: one daemon plays, the others ask it to.

The first daemon leads: it holds a lock and listens on a socket in the user's runtime folder, which
nobody else may enter. Every other daemon follows: what its client asks of the music goes to the
leader, and what the leader tells of the music comes back. When the leader ends, another one leads
and goes on where the music was, so no daemon outlives its own editor. Where there is no such
folder, every daemon plays for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import logging
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lofi_daemon.errors import AudioPlaybackError, InternalError, LofiError, error_named
from lofi_daemon.files.locking import try_lock
from lofi_daemon.files.private import private_folder
from lofi_daemon.rpc.handover import Music
from lofi_daemon.rpc.messages import encode, notification
from lofi_daemon.rpc.notifications import Notifier, Tells

log = logging.getLogger(__name__)

MUSIC = "music"
MAX_LINE_BYTES = 1 << 21
JOIN_AGAIN_SEC = 0.05
JOIN_TRIES = 60
# longer than a player may take to answer its own daemon
ANSWER_SEC = 15.0
MAX_PATH_BYTES = 100  # of a socket's name; systems have room for 104 to 108

Carry = Callable[[str, Mapping[str, Any]], Awaitable[BaseModel]]


class _LeaderGone(Exception):
    pass


class Sharing:
    """Who plays. Lives in the event loop.

    carry_out: does here what a follower asks for, raising LofiError. greet: tells somebody new what
    plays. music: what plays, to be handed over; put_on: goes on with it here.
    """

    def __init__(
        self,
        tracks_folder: Path,
        notifier: Notifier,
        *,
        carry_out: Carry,
        greet: Callable[[Tells], None],
        music: Callable[[], Music],
        put_on: Callable[[Music], Awaitable[None]],
    ) -> None:
        self._place = _place(tracks_folder)
        self._carry_out = carry_out
        self._notifier = notifier
        self._greet = greet
        self._music = music
        self._put_on = put_on
        self._lock: int | None = None
        self._server: asyncio.AbstractServer | None = None
        self._followers: set[asyncio.StreamWriter] = set()
        self._leader: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._known: Music | None = None
        self._said: Music | None = None
        self._joined = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def leads(self) -> bool:
        """Whether the music plays here."""
        return self._joined.is_set() and self._leader is None

    @property
    def elsewhere(self) -> Music | None:
        """The music as its leader last told of it; None where it plays here."""
        return None if self.leads else self._known

    def protected(self) -> frozenset[str]:
        """Tracks that must not be evicted, since they play elsewhere. Any thread may ask."""
        music = self.elsewhere
        return frozenset(music.needed if music is not None else ())

    async def join(self) -> None:
        """Lead, or follow who does; where neither can be, play for this daemon alone."""
        for _ in range(JOIN_TRIES):
            if self._closing:
                return
            if self._place is None or await self._lead(self._place) or await self._follow():
                break
            await asyncio.sleep(JOIN_AGAIN_SEC)
        else:
            log.warning("The daemon that holds the music does not listen; this one plays alone.")
            self._place = None
        self._joined.set()

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """What the leader answers, once there is one; `Here` is raised where that is this daemon.

        Raises LofiError as the leader does.
        """
        while True:
            await self._joined.wait()
            leader = self._leader
            if leader is None:
                raise Here
            try:
                return await self._asked(leader, method, params)
            except _LeaderGone:
                continue

    def notify(self, method: str, params: BaseModel) -> None:
        """Tell the clients of all daemons that hear this music."""
        self._notifier.notify(method, params)
        if self._followers and not self._closing:
            self._send_all(notification(method, params))
            self.say_music()

    def say_music(self) -> None:
        """Tell the followers how they would go on from here, where they do not know it."""
        if not self._followers or self._closing:
            return
        music = self._music()
        if self._said is None or not music.is_as_told(self._said):
            self._said = music
            self._send_all(_told(music))

    def leave(self) -> None:
        """Say for the last time what plays, and take nothing more on."""
        self._said = None
        self.say_music()
        self._closing = True
        self._fail_answers()
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Let another one lead."""
        for writer in (*self._followers, *([self._leader] if self._leader else [])):
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                if self._place is not None:
                    self._place.with_suffix(".sock").unlink()
            os.close(self._lock)
            self._lock = None

    # -- leading -------------------------------------------------------------------------------

    async def _lead(self, place: Path) -> bool:
        try:
            lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            log.warning("Other editors' music cannot be shared: %s", error)
            self._place = None
            return True
        if try_lock(lock) is False:
            os.close(lock)
            return False
        self._lock, socket = lock, place.with_suffix(".sock")
        try:
            socket.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(
                self._serve, str(socket), limit=MAX_LINE_BYTES
            )
            socket.chmod(0o600)
        except OSError as error:
            log.warning("Other editors cannot share this music: %s", error)
            self._place, self._lock = None, None
            os.close(lock)
        if self._known is not None:
            await self._put_on(self._known)
        self._known = None
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._followers.add(writer)
        self._said = None
        self.say_music()
        self._greet(_Follower(writer))
        try:
            with contextlib.suppress(asyncio.CancelledError):  # this daemon ends
                async for line in _lines(reader):
                    self._spawn(self._answer(writer, line))
        finally:
            self._followers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        asked = json.loads(line)
        if self._closing:
            return  # whoever leads next is asked again
        answer: dict[str, Any] = {"id": asked["id"]}
        try:
            result = await self._carry_out(asked["method"], asked["params"])
            answer["result"] = result.model_dump()
        except LofiError as error:
            answer["error"] = {
                "name": error.name,
                "message": error.message,
                "hint": error.hint,
                "data": error.data,
            }
        except Exception as defect:  # the boundary: any failure becomes an answer
            log.exception("'%s' failed, asked by another daemon", asked["method"])
            answer["error"] = {"name": InternalError.name, "message": repr(defect), "hint": ""}
        writer.write(encode(answer))
        self.say_music()

    def _send_all(self, message: Mapping[str, Any]) -> None:
        line = encode(message)
        for writer in self._followers:
            writer.write(line)

    # -- following -----------------------------------------------------------------------------

    async def _follow(self) -> bool:
        if self._place is None:
            return False
        try:
            reader, writer = await asyncio.open_unix_connection(
                str(self._place.with_suffix(".sock")), limit=MAX_LINE_BYTES
            )
        except OSError:  # it is about to listen, or has just ended
            return False
        self._leader = writer
        self._spawn(self._listen(reader, writer))
        return True

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            async for line in _lines(reader):
                self._hear(json.loads(line))
        writer.close()
        self._joined.clear()
        self._leader = None
        self._fail_answers()
        await self.join()

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            answer = self._answers.get(message["id"])
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif message["method"] == MUSIC:
            with contextlib.suppress(ValidationError):  # of another version: nothing to go on with
                self._known = Music.model_validate(message["params"])
        else:
            self._notifier.relay(encode(message))

    async def _asked(
        self, leader: asyncio.StreamWriter, method: str, params: Mapping[str, Any]
    ) -> Any:
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            leader.write(encode({"id": number, "method": method, "params": params}))
            message = await asyncio.wait_for(answer, ANSWER_SEC)
        except asyncio.TimeoutError:
            raise AudioPlaybackError(
                f"The daemon that plays did not answer '{method}' within {ANSWER_SEC:.0f} s.",
                hint="Close the editor in which the music began, and try again.",
            ) from None
        finally:
            self._answers.pop(number, None)
        if "error" in message:
            said = message["error"]
            kind = error_named(said["name"])
            raise kind(said["message"], hint=said["hint"], **said.get("data", {}))
        return message["result"]

    def _fail_answers(self) -> None:
        gone = (
            AudioPlaybackError("The daemon ends.", hint="Start lofi again.")
            if self._closing
            else _LeaderGone()
        )
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(gone)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass(frozen=True)
class _Follower:
    """One of them, to be told something alone."""

    writer: asyncio.StreamWriter

    def notify(self, method: str, params: BaseModel) -> None:
        self.writer.write(encode(notification(method, params)))


class Here(Exception):
    """This daemon leads."""


async def _lines(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            line = await reader.readline()
        except (ValueError, OSError):  # too long a line, or the other side is gone
            return
        if not line:
            return
        yield line


def _told(music: Music) -> dict[str, Any]:
    return {"method": MUSIC, "params": music.model_dump()}


def _place(tracks_folder: Path) -> Path | None:
    """Where the daemons of this user on this cache meet, without the ending; None: nowhere."""
    if sys.platform == "win32":
        return None
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given:
        folder = Path(given) / "lofi.nvim"
    else:
        folder = Path(tempfile.gettempdir()) / f"lofi.nvim-{os.geteuid()}"
    name = hashlib.sha256(os.fsencode(os.path.realpath(tracks_folder))).hexdigest()[:16]
    place = folder / name
    if len(os.fsencode(place)) + len(".sock") > MAX_PATH_BYTES:
        return None
    try:
        private_folder(folder)
        status = folder.lstat()
    except OSError:
        return None
    mine = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return place if mine else None
