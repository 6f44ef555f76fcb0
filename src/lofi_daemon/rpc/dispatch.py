"""From a line to the handler of its method, and back to a line."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import BaseModel

from lofi_daemon.backends.registry import Registry
from lofi_daemon.errors import (
    InternalError,
    InvalidRequest,
    LofiError,
    MethodNotFound,
    ShuttingDown,
)
from lofi_daemon.lines import Line, parse_line
from lofi_daemon.parameters import Parameters, SoundParameters, parse
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.messages import (
    Request,
    encode,
    error_response,
    id_of,
    read_request,
    response,
)
from lofi_daemon.rpc.sharing import Here, Sharing

log = logging.getLogger(__name__)

MAX_BATCH = 1000


@dataclass(frozen=True)
class Method:
    """One method: its parameters, its result, and the function that carries it out.

    A handler that touches nothing slow is a plain function; one that waits is a coroutine
    function. Either raises LofiError. `shared`: it is about the music, which another daemon may be
    playing; there it is carried out then. `models`: the models are asked, which takes long the
    first time; the method waits for that, and the loop does not. `here`: what is done first in the
    daemon that was asked. `between`: only another daemon asks for it, where the music plays.
    """

    name: str
    params: type[Parameters]
    result: type[BaseModel]
    handler: Callable[[Daemon, Any], BaseModel | Awaitable[BaseModel]]
    shared: bool = False
    models: bool = False
    here: Callable[[Daemon], None] | None = None
    between: bool = False


def with_options(method: Method, registry: Registry) -> Method:
    """The method as it is called here: with every backend's options where it makes tracks."""
    params = method.params
    if issubclass(params, SoundParameters):
        return replace(method, params=registry.taking_options(params))
    return method


class Dispatcher:
    """Answers lines. Plain handlers run at once, in the order of the lines.

    Only what asks the models waits the first time, and lets others by.
    """

    def __init__(
        self, daemon: Daemon, methods: Iterable[Method], send: Callable[[bytes], None]
    ) -> None:
        self._daemon = daemon
        self._methods = {method.name: with_options(method, daemon.registry) for method in methods}
        self._send = send
        self._tasks: set[asyncio.Future[None]] = set()
        self._ending = False

    def handle(self, line: Line, done: Callable[[], None]) -> None:
        """Carry out a line and send its answer, if it gets one; then call `done`.

        A line that comes while the daemon stops is refused at once, whatever it asks.
        """
        answer = self._answer_line(line, refused=self._daemon.stopping.is_set())
        if answer is None or isinstance(answer, bytes):
            if answer is not None:
                self._send(answer)
            done()
            return
        task = asyncio.ensure_future(self._send_later(answer, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout_sec: float) -> None:
        """Let answers that are on their way go out in that time; the others become refusals."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_sec)
        self._ending = True
        late = list(self._tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=timeout_sec)

    async def _send_later(self, answer: Awaitable[bytes | None], done: Callable[[], None]) -> None:
        try:
            line = await answer
            if line is not None:
                self._send(line)
        finally:
            done()

    def _answer_line(self, line: Line, *, refused: bool) -> bytes | Awaitable[bytes | None] | None:
        try:
            if line is not None and not line.strip():
                return None
            value = parse_line(line)
            if isinstance(value, list):
                values = _checked_batch(cast("list[object]", value))
                return self._answer_batch(values, refused=refused)
        except LofiError as error:
            return encode(error_response(None, error))
        return self._answer(value, refused=refused)

    async def _answer_batch(self, values: list[object], *, refused: bool) -> bytes | None:
        """One array for all. Notifications wait, so that each track's answer comes before them."""
        notifier = self._daemon.notifier
        notifier.hold()
        try:
            answers: list[bytes] = []
            for value in values:
                answer = self._answer(value, refused=refused or self._ending)
                if inspect.isawaitable(answer):
                    answer = await answer
                elif not self._ending:
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(0)
                if answer is not None:
                    answers.append(answer.rstrip(b"\n"))
            if answers:
                self._send(b"[" + b",".join(answers) + b"]\n")
        finally:
            notifier.release()
        return None

    def _answer(self, value: object, *, refused: bool) -> bytes | Awaitable[bytes | None] | None:
        """The encoded answer: what cannot be encoded is a failure of that answer alone."""
        try:
            request = read_request(value)
        except InvalidRequest as error:
            return encode(error_response(id_of(value), error))
        try:
            if refused:
                raise ShuttingDown("The daemon is shutting down.")
            method = self._methods.get(request.method)
            if method is None or method.between:
                raise MethodNotFound(f"There is no method '{request.method[:64]}'.")
            result = self._carried_out(method, parse(method.params, request.params))
            if isinstance(result, BaseModel):
                return encode(response(request.id, result)) if request.answered else None
        except Exception as error:  # noqa: BLE001 - the boundary: any failure becomes an answer
            return _failure(request, error)
        return self._answer_later(request, result)

    def _carried_out(self, method: Method, params: Parameters) -> BaseModel | Awaitable[BaseModel]:
        if method.here is not None:
            method.here(self._daemon)
        sharing = self._daemon.sharing
        if method.shared and sharing is not None and not sharing.leads:
            return self._where_it_plays(sharing, method, params)
        if method.models and not self._daemon.rehearsed:
            return self._here(method, params)
        return method.handler(self._daemon, params)

    async def _where_it_plays(
        self, sharing: Sharing, method: Method, params: Parameters
    ) -> BaseModel:
        try:
            result = await sharing.ask(method.name, params.model_dump(exclude_unset=True))
        except Here:
            return await self._here(method, params)
        return method.result.model_validate(result)

    async def call(self, name: str, **params: Any) -> BaseModel:
        """Do what a client in this same process asks for, here or where the music plays.

        Raises LofiError.
        """
        method = self._methods[name]
        result = self._carried_out(method, parse(method.params, params))
        return await result if inspect.isawaitable(result) else result

    async def carry_out(self, name: str, params: Mapping[str, Any]) -> BaseModel:
        """Do what another daemon asks for on behalf of its client. Raises LofiError."""
        method = self._methods.get(name)
        if method is None or not (method.shared or method.between or name == "status"):
            raise MethodNotFound(f"There is no shared method '{name[:64]}'.")
        return await self._here(method, parse(method.params, params))

    async def _here(self, method: Method, params: Parameters) -> BaseModel:
        if method.models and not self._daemon.rehearsed:
            await self._daemon.rehearse(self._build_forms)
        result = method.handler(self._daemon, params)
        return await result if inspect.isawaitable(result) else result

    async def _build_forms(self) -> None:
        """Have pydantic build what is asked and answered with, a form a turn of the loop.

        It would build each when it is first used, several in one turn.
        """
        forms = [form for each in self._methods.values() for form in (each.params, each.result)]
        for form in (*forms, self._daemon.registry.taking_options(SoundParameters)):
            if form.model_rebuild() is not None:
                await asyncio.sleep(0)

    async def _answer_later(self, request: Request, result: Awaitable[BaseModel]) -> bytes | None:
        try:
            answer = encode(response(request.id, await result))
        except asyncio.CancelledError:  # the daemon ends and does not wait for this any longer
            return _failure(request, ShuttingDown("The daemon is shutting down."))
        except Exception as error:  # noqa: BLE001 - the boundary: any failure becomes an answer
            return _failure(request, error)
        return answer if request.answered else None


def _checked_batch(values: list[object]) -> list[object]:
    if not values:
        raise InvalidRequest("The batch is empty.")
    if len(values) > MAX_BATCH:
        raise InvalidRequest(f"The batch has {len(values)} requests; {MAX_BATCH} are the most.")
    return values


def _failure(request: Request, error: Exception) -> bytes | None:
    if not isinstance(error, LofiError):
        log.error("Method %s failed", request.method, exc_info=error)
        error = InternalError(f"{type(error).__name__}: {error}")
    if not request.answered:
        return None
    try:
        return encode(error_response(request.id, error))
    except (TypeError, ValueError):  # its figures; the words remain
        log.exception("An error of %s cannot be encoded", request.method)
        error.data.clear()
        return encode(error_response(request.id, error))
