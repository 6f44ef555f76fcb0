"""What is wrong with the way to the Hub is said at once, by its name."""

from __future__ import annotations

import collections
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from httpcore2 import NetworkStream, ReadTimeout

from lofi_daemon.errors import ModelDownloadFailed
from lofi_daemon.models.client import (
    MIN_BYTES_PER_SEC,
    STRETCH_SEC,
    Headers,
    Limited,
    Watched,
    _client,
    _Network,
)
from lofi_daemon.models.hub import check_environment
from tests.models.download_child import Outcome
from tests.models.hub_server import HubRepository

SECRET = "hf_sécret"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "ten", "whole number"),
        ("HF_HUB_ETAG_TIMEOUT", "-1", "whole number"),
        ("HF_ENDPOINT", "mirror.example", "http"),
        ("HF_ENDPOINT", "http://", "http"),
        ("HF_ENDPOINT", "ftp://mirror", "http"),
        ("HF_TOKEN", SECRET, "characters"),
        ("HF_TOKEN", "a\nb", "characters"),
        ("SSL_CERT_FILE", "/no/such/file", "cannot be read"),
        ("SSL_CERT_DIR", "/no/such/folder", "cannot be read"),
        ("ALL_PROXY", "socks5://localhost:1", "socksio"),
        ("https_proxy", "ftp://localhost:1", "proxy"),
        ("HTTP_PROXY", "http://localhost:99999", "proxy"),
    ],
)
def test_a_variable_that_nothing_works_with_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ModelDownloadFailed, match=said) as failure:
        check_environment({name: value})
    assert name in failure.value.message
    assert failure.value.hint
    assert SECRET not in failure.value.message


def test_what_works_is_left_alone(tmp_path: Path) -> None:
    check_environment(
        {
            "HF_ENDPOINT": "https://hf-mirror.example/hub",
            "HF_TOKEN": "hf_abcDEF123",
            "HF_HUB_DOWNLOAD_TIMEOUT": "30",
            "HTTPS_PROXY": "proxy.example:3128",
            "NO_PROXY": "localhost",
            "SSL_CERT_DIR": str(tmp_path),
            "ALL_PROXY": "",
        }
    )


def test_the_command_says_it_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lofi_daemon.cli import run

    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "ten")
    assert run(["download", "ace_step", "--yes"]) == 1
    assert "HF_HUB_DOWNLOAD_TIMEOUT=ten" in capsys.readouterr().err


def test_a_mirror_that_has_not_got_it_is_no_question_of_tokens(
    hub: HubRepository, download_model: Callable[..., Outcome], tmp_path: Path
) -> None:
    hub.fail("ace-step/tokenizer.json", "plain 404")
    error = download_model(tmp_path / "model").error
    assert error is not None
    assert "has no tokenizer.json of" in error[1]
    assert "HTTP 404" in error[1]
    assert "HF_ENDPOINT" in error[2]
    assert "HF_TOKEN" not in error[2]


@pytest.mark.parametrize("repository", ["../../etc", "a/b--c", "a/..", "-x/y"])
def test_a_bad_name_is_a_message(
    repository: str, hub: HubRepository, download_model: Callable[..., Outcome], tmp_path: Path
) -> None:
    error = download_model(tmp_path / "model", repository=repository).error
    assert error is not None
    assert error[0] in ("MODEL_DOWNLOAD_FAILED", "INTERNAL_ERROR")


def test_a_body_without_end_ends(
    hub: HubRepository, download_model: Callable[..., Outcome], tmp_path: Path
) -> None:
    hub.fail("ace-step/transformer_decoder_weights.bin", "endless error")
    began = time.monotonic()
    error = download_model(tmp_path / "model").error
    assert error is not None
    assert "HTTP 418" in error[1]
    assert time.monotonic() - began < 30.0
    assert hub.bytes_sent < 50_000_000


def test_no_list_of_agents_is_asked_for(
    hub: HubRepository, download_model: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert download_model(tmp_path / "model").error is None
    assert [request for request in hub.requests if "/api/" in request] == []


@pytest.mark.parametrize("manifest", [b'{"files": {}}', b"{}", b"[]", b'{"files": {"../x": {}}}'])
def test_a_manifest_that_lists_nothing_is_no_model(
    manifest: bytes, hub: HubRepository, download_model: Callable[..., Outcome], tmp_path: Path
) -> None:
    hub.files["manifest.json"] = manifest
    error = download_model(tmp_path / "model", repository="some/body").error
    assert error is not None
    assert not (tmp_path / "model/installed.json").exists()


class _Drip(NetworkStream):
    """A connection on which a few bytes come every second."""

    def __init__(self, clock: list[float], bytes_per_sec: int) -> None:
        self._clock = clock
        self._bytes_per_sec = bytes_per_sec

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._clock[0] += 1.0
        return bytes(self._bytes_per_sec)


def test_two_bytes_a_second_are_not_taken_for_ever() -> None:
    clock = [0.0]
    slow = Watched(_Drip(clock, 2), Headers(), lambda: clock[0])
    with pytest.raises(ReadTimeout, match="bytes arrived"):
        collections.deque((slow.read(4096) for _ in range(1000)), maxlen=0)
    assert clock[0] <= STRETCH_SEC + 1
    steady = Watched(_Drip(clock, MIN_BYTES_PER_SEC), Headers(), lambda: clock[0])
    assert sum(len(steady.read(4096)) for _ in range(1000)) == 1000 * MIN_BYTES_PER_SEC


def test_a_body_ends_at_its_limit() -> None:
    body = Limited(httpx2.ByteStream(bytes(99_999)), 10_000)
    assert sum(map(len, body)) == 10_000


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "headers": [HEAD, *[b"a"] * 1_500],
    "header lines": [HEAD, *[b"A: b\r\n"] * 1_500],
    "announcements": [b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 1_500,
    "sizes of chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"0"] * 1_500],
    "a body": [HEAD + b"Content-Length: 99999\r\n\r\n", *[b"a"] * 1_500],
}


@contextmanager
def answering(pieces: Iterable[bytes], pause_sec: float) -> Iterator[str]:
    """A server's address; whatever it is asked, it answers with these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(65536)
                        for piece in pieces:
                            connection.sendall(piece)
                            time.sleep(pause_sec)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_in_is_given_up(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No single read takes long, so no usual timeout comes."""
    monkeypatch.setattr("lofi_daemon.models.client.STRETCH_SEC", 0.5)
    monkeypatch.setattr("lofi_daemon.models.client.MIN_BYTES_PER_SEC", 10**6)
    with (
        answering(DRIPS[what], 0.01) as address,
        _client() as client,
        pytest.raises(httpx2.ReadTimeout, match="bytes arrived"),
    ):
        client.get(address, timeout=20)


@pytest.mark.parametrize(
    ("what", "said"),
    [("headers", "too long"), ("header lines", "too long"), ("announcements", "no headers' end")],
)
def test_headers_end(what: str, said: str) -> None:
    first, *more = DRIPS[what]
    flood = [first, *[b"".join(more[:1000])] * 1000]
    with (
        answering(flood, 0.0) as address,
        _client() as client,
        pytest.raises(httpx2.RemoteProtocolError, match=said),
    ):
        client.get(address, timeout=20)


def test_a_way_through_a_proxy_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with _client() as client:
        transport: Any = client._transport_for_url(httpx2.URL("http://example.org"))
    assert type(transport._transport._pool).__name__ == "HTTPProxy"
    assert isinstance(transport._transport._pool._network_backend, _Network)
