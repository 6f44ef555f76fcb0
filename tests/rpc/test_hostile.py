"""Whatever comes in, the daemon answers as it should and serves the next line."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lofi_daemon import errors
from tests.daemon_process import DaemonProcess, Json
from tests.rpc.conftest import StartDaemon, slow
from tests.rpc.hostile_lines import all_cases, generate

NAMES = {
    error.code: error.name
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.LofiError)
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for the whole file: what one line does to it, the next ones feel."""
    with DaemonProcess(tmp_path_factory.mktemp("hostile"), backends={"demo": {}}) as daemon:
        yield daemon
        assert daemon.process.poll() is None
        assert daemon.close() == 0
        assert "Traceback" not in daemon.log()


def answers_to(daemon: DaemonProcess, *lines: bytes) -> list[Json]:
    """What came between two pings around the lines, notifications aside.

    Only for lines that are answered in order: a batch, and a method that waits, may be overtaken.
    """
    before = daemon.call("ping")
    daemon.answer(before)
    start = len(daemon.messages)
    daemon.send_bytes(b"".join(line + b"\n" for line in lines))
    after = daemon.call("ping")
    daemon.answer(after)
    return [
        message
        for message in daemon.messages[start:]
        if isinstance(message, list) or ("method" not in message and message.get("id") != after)
    ]


def check_error(answer: Json | list[Json], code: int) -> None:
    if isinstance(answer, list):  # to a batch of one
        [answer] = answer
    assert set(answer) == {"jsonrpc", "id", "error"}
    error = answer["error"]
    assert error["code"] == code, answer
    assert answer["id"] in (None, 1)
    assert error["data"]["code"] == NAMES[code]
    assert error["data"]["hint"]
    assert 0 < len(error["message"]) < 2000


def test_there_are_at_least_200_lines() -> None:
    assert len({line for line, _ in all_cases()}) >= 200


@pytest.mark.parametrize("part", range(10))
def test_every_line_gets_its_own_error(daemon: DaemonProcess, part: int) -> None:
    for line, code in all_cases()[part::10]:
        identity = daemon.call("ping")
        daemon.answer(identity)
        start = len(daemon.messages)
        daemon.send_bytes(line + b"\n")
        if code is None:
            assert answers_to(daemon) == []
            continue
        answer = _next_answer(daemon, start)
        check_error(answer, code)


def _next_answer(daemon: DaemonProcess, start: int) -> Json | list[Json]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for message in daemon.messages[start:]:
            if "method" not in message:
                return message
        time.sleep(0.001)
    raise AssertionError(daemon.log()[-2000:])


def test_all_lines_at_once_in_any_order(daemon: DaemonProcess) -> None:
    cases = all_cases() * 2
    random.Random(1).shuffle(cases)
    expected = Counter(code for _, code in cases if code is not None)
    start = len(daemon.messages)
    daemon.send_bytes(b"".join(line + b"\n" for line, _ in cases))
    deadline = time.monotonic() + 120
    answers: list[Json] = []
    while len(answers) < expected.total() and time.monotonic() < deadline:
        time.sleep(0.01)
        answers = [message for message in daemon.messages[start:] if "method" not in message]
    errors = (answer[0] if isinstance(answer, list) else answer for answer in answers)
    assert Counter(answer["error"]["code"] for answer in errors) == expected


def test_a_line_in_single_bytes(daemon: DaemonProcess) -> None:
    for byte in b'{"jsonrpc":"2.0","id":"drop by drop","method":"ping"}\r\n':
        daemon.send_bytes(bytes([byte]))
    assert daemon.answer("drop by drop")["result"]["status"] == "ok"


def test_ids_come_back_unchanged(daemon: DaemonProcess) -> None:
    for identity in ["", "ü☃\u0000😀", "\ud800", 0, -1, 2**70, 1.5, 1e300, None]:
        line = json.dumps({"jsonrpc": "2.0", "id": identity, "method": "ping"}).encode()
        answers = answers_to(daemon, line)
        assert [answer["id"] for answer in answers] == [identity]
        assert type(answers[0]["id"]) is type(identity)


def test_duplicate_ids_are_each_answered(daemon: DaemonProcess) -> None:
    ping = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'
    assert [answer["id"] for answer in answers_to(daemon, *[ping] * 50)] == [7] * 50


def test_batches_mixed_with_notifications(daemon: DaemonProcess) -> None:
    ping = {"jsonrpc": "2.0", "method": "ping"}
    batch: list[Any] = [{**ping, "id": 1}, ping, [], {**ping, "id": 1}, None, {**ping, "id": "x"}]
    start = len(daemon.messages)
    daemon.send_bytes(json.dumps(batch).encode() + b"\n")
    answers = _next_answer(daemon, start)
    assert isinstance(answers, list)
    assert [answer["id"] for answer in answers] == [1, None, 1, None, "x"]
    assert [("result" in answer) for answer in answers] == [True, False, True, False, True]
    assert answers_to(daemon, json.dumps([ping] * 1000).encode()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
METHODS = st.sampled_from(["ping", "generate", "cancel", "get_backends", "tracks_list", "status",
                           "tracks_keep", "tracks_delete", "queue_clear"])  # fmt: skip
NAMED = st.sampled_from(["prompt", "duration_sec", "seed", "backend", "inference_steps",
                         "guidance_scale", "priority", "limit", "track_id", "track_ids",
                         "kept"])  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | JSON, "method": METHODS | JSON},
    optional={
        "id": st.integers() | st.text() | JSON,
        "params": st.dictionaries(NAMED | st.text(), JSON, max_size=4) | JSON,
    },
)
LINES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")),
    JSON.map(lambda value: json.dumps(value).encode()),
    REQUESTS.map(lambda value: json.dumps(value).encode()),
    st.lists(REQUESTS, max_size=4).map(lambda value: json.dumps(value).encode()),
).filter(lambda line: b"shutdown" not in line)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(LINES, min_size=1, max_size=5))
def test_arbitrary_lines_are_answered_properly(daemon: DaemonProcess, lines: list[bytes]) -> None:
    for answer in answers_to(daemon, *lines):
        for each in answer if isinstance(answer, list) else [answer]:
            assert each["jsonrpc"] == "2.0"
            assert ("result" in each) != ("error" in each)
            if "error" in each:
                assert each["error"]["data"]["code"] == NAMES[each["error"]["code"]]
                assert each["error"]["code"] != -32603, lines


def test_output_is_one_json_object_a_line(daemon: DaemonProcess) -> None:
    answers_to(daemon)
    for line in daemon.raw_lines:
        json.loads(line, parse_constant=pytest.fail)
        assert line.endswith(b"\n")
        assert line.isascii()


def test_a_flood_of_generates(start_daemon: StartDaemon) -> None:
    """A thousand at once: eleven are taken, the rest refused, pings answered meanwhile."""
    daemon = start_daemon(slow(diffusing=60.0))
    flood = [
        {"jsonrpc": "2.0", "id": n, "method": "generate", "params": {"prompt": "a", "seed": n}}
        for n in range(1000)
    ]
    daemon.send(*flood)
    assert daemon.request("ping")["status"] == "ok"
    answers = {m["id"]: m for m in daemon.messages if isinstance(m.get("id"), int)}
    assert len(answers) == 1000
    taken = [n for n, answer in answers.items() if "result" in answer]
    assert taken == list(range(11))
    assert {answers[n]["error"]["code"] for n in range(11, 1000)} == {-32004}
    assert len(daemon.request("queue_clear")["cancelled"]) == 10


def test_a_flood_of_equal_and_cached_generates(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    request = {"method": "generate", "params": {"prompt": "a", "seed": 1, "duration_sec": 5}}
    for _ in range(2):
        start = len(daemon.messages)
        daemon.send(*({"jsonrpc": "2.0", "id": n, **request} for n in range(500)))
        daemon.request("ping")
        track_id = daemon.answer(0)["result"]["track_id"]
        daemon.final(track_id)
        answers = [m for m in daemon.messages[start:] if isinstance(m.get("id"), int)]
        assert len(answers) == 500
        assert {answer["result"]["track_id"] for answer in answers} == {track_id}


def test_a_client_that_does_not_read(start_daemon: StartDaemon) -> None:
    """Its requests wait in the pipe; memory does not grow; the end of input still ends it."""
    daemon = start_daemon(slow(diffusing=0.002), read=False)
    assert daemon.process.stdin is not None
    descriptor = daemon.process.stdin.fileno()
    os.set_blocking(descriptor, False)
    process = psutil.Process(daemon.process.pid)
    line = generate(seed=1, inference_steps=200, duration_sec=5) + b"\n"
    sent, stalled_since, rest = 0, time.monotonic(), b""
    while time.monotonic() - stalled_since < 3 and sent < 200 << 20:
        try:
            rest = rest or line * 100
            written = os.write(descriptor, rest)
            sent, rest, stalled_since = sent + written, rest[written:], time.monotonic()
        except BlockingIOError:
            time.sleep(0.05)
    assert sent < 20 << 20
    resident = process.memory_info().rss
    time.sleep(1.0)
    assert process.memory_info().rss - resident < 8 << 20
    daemon.process.stdin.close()
    began = time.monotonic()
    assert daemon.process.wait(10) == 0
    assert time.monotonic() - began < 4


def test_nothing_but_the_protocol_reaches_stdout(tmp_path: Path) -> None:
    """Prints of Python, of native code and of child processes go to the log."""
    script = tmp_path / "noisy.py"
    script.write_text(
        "import ctypes, os, sys\n"
        "from lofi_daemon.config import load_settings\n"
        "from lofi_daemon.rpc import server\n"
        "from tests.tone_backend import ToneBackend\n"
        "class Noisy(ToneBackend):\n"
        "    def load(self, *given):\n"
        "        print('python was here', flush=True)\n"
        "        sys.__stdout__.write('old stdout was here\\n'); sys.__stdout__.flush()\n"
        "        os.write(1, b'descriptor was here\\n')\n"
        "        ctypes.CDLL(None).puts(b'libc was here'); ctypes.CDLL(None).fflush(None)\n"
        "        os.system('echo child was here')\n"
        "        assert os.read(0, 1) == b''\n"
        "server.serve(load_settings(os.environ), {'demo': lambda settings: Noisy()})\n"
    )
    with DaemonProcess(tmp_path / "cache", command=[sys.executable, str(script)]) as daemon:
        track = daemon.request("generate", prompt="rain", duration_sec=5)["track_id"]
        assert daemon.final(track)["method"] == "generation_complete"
        assert daemon.close() == 0
        for speaker in ("python", "old stdout", "descriptor", "libc", "child"):
            assert f"{speaker} was here" in daemon.log()
