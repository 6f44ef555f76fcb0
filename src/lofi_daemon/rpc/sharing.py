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
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lofi_daemon.errors import AudioPlaybackError, InternalError, LofiError, error_named
from lofi_daemon.files.locking import try_lock
from lofi_daemon.rpc.handover import Music
from lofi_daemon.rpc.meeting import (
    MAX_LINE_BYTES,
    MUSIC,
    Answered,
    Asked,
    Failure,
    Follower,
    Told,
    meeting_place,
    messages,
)
from lofi_daemon.rpc.messages import encode, notification
from lofi_daemon.rpc.notifications import Notifier, Tells

log = logging.getLogger(__name__)

JOIN_AGAIN_SEC = 0.05
JOIN_TRIES = 60
# longer than a player may take to answer its own daemon
ANSWER_SEC = 15.0

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
        self._place = meeting_place(tracks_folder)
        self._carry_out = carry_out
        self._notifier = notifier
        self._greet = greet
        self._music = music
        self._put_on = put_on
        self._lock: int | None = None
        self._server: asyncio.AbstractServer | None = None
        self._followers: set[Follower] = set()
        self._leader: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Answered]] = {}
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
        followed = [follower.writer for follower in self._followers]
        for writer in (*followed, *([self._leader] if self._leader else [])):
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
        follower = Follower(writer)
        self._followers.add(follower)
        self._said = None
        self.say_music()
        self._greet(follower)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # this daemon ends
                async for message in messages(reader):
                    self._spawn(self._answer(follower, message))
        finally:
            self._followers.discard(follower)
            writer.close()

    async def _answer(self, follower: Follower, message: Mapping[str, Any]) -> None:
        if self._closing:
            return  # whoever leads next is asked again
        try:
            asked = Asked.model_validate(message)
        except ValidationError as error:
            log.warning("Another daemon asked for nothing that can be answered: %s", error)
            return
        answer = Answered(id=asked.id)
        try:
            result = await self._carry_out(asked.method, asked.params)
            answer.result = result.model_dump()
        except LofiError as error:
            answer.error = Failure(
                name=error.name, message=error.message, hint=error.hint, data=error.data
            )
        except Exception as defect:  # the boundary: any failure becomes an answer
            log.exception("'%s' failed, asked by another daemon", asked.method)
            answer.error = Failure(name=InternalError.name, message=repr(defect))
        follower.send(encode(answer.model_dump()))
        self.say_music()

    def _send_all(self, message: Mapping[str, Any]) -> None:
        line = encode(message)
        for follower in self._followers:
            follower.send(line)

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
            async for message in messages(reader):
                self._hear(message)
        writer.close()
        self._joined.clear()
        self._leader = None
        self._fail_answers()
        await self.join()

    def _hear(self, message: dict[str, Any]) -> None:
        try:
            if "id" in message:
                self._hear_answer(Answered.model_validate(message))
                return
            told = Told.model_validate(message)
            if told.method == MUSIC:
                self._known = Music.model_validate(told.params)
            else:
                self._notifier.relay(encode(message))
        except ValueError as error:  # the daemon that plays is of another version
            log.warning("The daemon that plays said what this one does not understand: %s", error)

    def _hear_answer(self, message: Answered) -> None:
        answer = self._answers.get(message.id)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _asked(
        self, leader: asyncio.StreamWriter, method: str, params: Mapping[str, Any]
    ) -> Any:
        number = next(self._numbers)
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            asked = Asked(id=number, method=method, params=dict(params))
            leader.write(encode(asked.model_dump()))
            message = await asyncio.wait_for(answer, ANSWER_SEC)
        except asyncio.TimeoutError:
            raise AudioPlaybackError(
                f"The daemon that plays did not answer '{method}' within {ANSWER_SEC:.0f} s.",
                hint="Close the editor in which the music began, and try again.",
            ) from None
        finally:
            self._answers.pop(number, None)
        if message.error is not None:
            said = message.error
            raise error_named(said.name)(said.message, hint=said.hint, **said.data)
        return message.result

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


class Here(Exception):
    """This daemon leads."""


def _told(music: Music) -> dict[str, Any]:
    return {"method": MUSIC, "params": music.model_dump()}
