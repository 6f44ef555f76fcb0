"""What cannot be encoded, and what comes while the daemon ends, concerns one answer only."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import GenerationParameters, SoundParameters
from lofi_daemon.rpc.dispatch import Dispatcher, Method
from lofi_daemon.rpc.messages import Message, NoParameters
from lofi_daemon.rpc.methods.radio import RadioStartParameters
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.serving import Serving
from tests.rpc.conftest import StartDaemon, slow
from tests.rpc.test_lifecycle import LEAVE_SEC
from tests.tone_backend import ToneBackend

NAN = float("nan")


class Figure(Message):
    value: float


def at_once(daemon: object, params: object) -> Figure:
    return Figure(value=NAN)


async def later(daemon: object, params: object) -> Figure:
    return Figure(value=NAN)


async def never(daemon: object, params: object) -> Figure:
    await asyncio.Event().wait()
    return Figure(value=0.0)


def refused(daemon: object, params: object) -> Figure:
    raise InvalidParams("It is not a number.", figure=NAN)


METHODS = [
    Method(each.__name__, NoParameters, Figure, each)  # pyright: ignore[reportArgumentType]
    for each in (at_once, later, never, refused)
]


def call(identity: int, method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method}


def answers_to(*messages: Any, stopping: bool = False, end: bool = False) -> list[Any]:
    """What a dispatcher sends; every line is done with."""

    async def live() -> list[Any]:
        sent: list[bytes] = []
        done: list[None] = []
        is_stopping = asyncio.Event()
        if stopping:
            is_stopping.set()
        notifier = Notifier(SimpleNamespace(send=lambda *_, **__: None))  # pyright: ignore
        daemon = SimpleNamespace(
            stopping=is_stopping, notifier=notifier, registry=None, sharing=None
        )
        dispatcher = Dispatcher(daemon, METHODS, sent.append)  # pyright: ignore
        for message in messages:
            dispatcher.handle(json.dumps(message).encode(), lambda: done.append(None))
        await dispatcher.finish(0.05 if end else 20.0)
        assert len(done) == len(messages)
        return [json.loads(line) for line in sent]

    return asyncio.run(live())


@pytest.mark.parametrize(
    ("method", "code"), [("at_once", -32603), ("later", -32603), ("refused", -32602)]
)
def test_what_cannot_be_encoded_is_that_answers_error(method: str, code: int) -> None:
    [answer] = answers_to(call(1, method))
    assert (answer["id"], answer["error"]["code"]) == (1, code)
    [batch] = answers_to([call(1, method), call(2, "nothing")])
    assert [(each["id"], each["error"]["code"]) for each in batch] == [(1, code), (2, -32601)]


def test_a_handler_that_never_ends_is_answered_when_the_daemon_does() -> None:
    answers = answers_to(call(1, "never"), [call(2, "never"), call(3, "never")], end=True)
    flat = [each for answer in answers for each in (answer if type(answer) is list else [answer])]
    assert {(each["id"], each["error"]["code"]) for each in flat} == {
        (1, -32018), (2, -32018), (3, -32018),
    }  # fmt: skip


def test_every_request_is_refused_while_the_daemon_stops() -> None:
    [one, batch] = answers_to(call(1, "at_once"), [call(2, "never")], stopping=True)
    assert one["error"]["data"]["code"] == batch[0]["error"]["data"]["code"] == "SHUTTING_DOWN"


def test_a_notification_that_cannot_be_encoded_is_none() -> None:
    sent: list[bytes] = []
    notifier = Notifier(SimpleNamespace(send=lambda line, **_: sent.append(line)))  # pyright: ignore
    assert not notifier.notify("figure", Figure(value=NAN))
    assert notifier.notify("figure", Figure(value=1.0))
    assert len(sent) == 1


def test_every_form_is_built_before_the_first_question_to_a_model_is_answered(
    tmp_path: Path,
) -> None:
    """pydantic would build several of them in the turn of the loop that begins a radio."""
    settings = Settings(tracks_folder=tmp_path, mpris=False)
    registry = Registry(settings, {"demo": lambda _: ToneBackend()})

    async def live() -> list[bytes]:
        sent: list[bytes] = []
        answered = asyncio.Event()

        def send(line: bytes, *, replaces: str | None = None) -> None:
            sent.append(line)

        serving = Serving(settings, registry, SimpleNamespace(send=send))
        serving.dispatcher.handle(json.dumps(call(1, "get_backends")).encode(), answered.set)
        await asyncio.wait_for(answered.wait(), 20.0)
        return sent

    [answer] = asyncio.run(live())
    assert json.loads(answer)["result"]["default_backend"] == "demo"
    for form in (GenerationParameters, RadioStartParameters, SoundParameters):
        assert registry.taking_options(form).__pydantic_complete__, form


def test_400_lines_around_shutdown(start_daemon: StartDaemon) -> None:
    """All are answered, every accepted job has its last word, and the process ends in time."""
    daemon = start_daemon(slow(diffusing=30.0))
    daemon.request("ping")
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("generate", {"prompt": "rain", "duration_sec": 5}), ("status", {}), ("tracks_list", {}),
        ("get_backends", {}),
    ]  # fmt: skip
    lines = [
        {"jsonrpc": "2.0", "id": n, "method": kinds[n % 4][0], "params": kinds[n % 4][1]}
        for n in range(400)
    ]
    daemon.send(*lines[:200], {"jsonrpc": "2.0", "id": "end", "method": "shutdown"}, *lines[200:])
    answered = daemon.arrival(daemon.answer("end"))
    assert daemon.wait() == 0
    assert daemon.arrivals[-1] - answered < LEAVE_SEC
    answers = {m["id"]: m for m in daemon.messages if isinstance(m.get("id"), int)}
    assert set(answers) == set(range(400))
    assert all(answers[n]["error"]["code"] == -32018 for n in range(200, 400))
    accepted = [
        m["result"]["track_id"] for m in answers.values() if "track_id" in m.get("result", {})
    ]
    assert accepted
    words = [m["params"]["track_id"] for m in daemon.notifications("generation_cancelled")]
    assert sorted(words) == sorted(accepted)
