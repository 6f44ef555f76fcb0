"""The HTTP client of downloads: nothing that answers can fill the memory or take for ever."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
from httpcore2 import NetworkBackend, NetworkStream, ReadTimeout, RemoteProtocolError
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

# Descriptions and what a server says of an error.
SMALL_BODY_BYTES = 1 << 20
# All that comes before a body, announcements of it included.
HEADERS_BYTES = 1 << 18
# Slower than this over a stretch of time is taken for a stalled connection.
MIN_BYTES_PER_SEC = 1000
STRETCH_SEC = 30.0
LIMIT = "lofi_daemon.limit"
"""The extension of a request that says how many bytes its answer may have."""


class Limited(httpx2.SyncByteStream):
    """A body that ends at a limit."""

    def __init__(self, stream: httpx2.SyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        for block in self._stream:
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return

    def close(self) -> None:
        self._stream.close()


class Watched(NetworkStream):
    """A connection that fails where an answer comes too slowly or its headers do not end.

    What arrives is counted before anybody makes sense of it, so that no form of it escapes: a byte
    now and then keeps every other timeout from coming. `headers` is for all of a transport's.
    """

    def __init__(
        self,
        stream: NetworkStream,
        headers: Headers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._headers = headers
        self._clock = clock
        self._since, self._arrived = clock(), 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises httpcore2.ReadTimeout, httpcore2.RemoteProtocolError."""
        data = self._stream.read(max_bytes, timeout)
        self._headers.count(data)
        now = self._clock()
        self._arrived += len(data)
        seconds = now - self._since
        if seconds >= STRETCH_SEC:
            if data and self._arrived < MIN_BYTES_PER_SEC * seconds:
                raise ReadTimeout(f"only {self._arrived} bytes arrived in {seconds:.0f} seconds")
            self._since, self._arrived = now, 0
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)
        self._since, self._arrived = self._clock(), 0

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return Watched(secured, self._headers, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Headers:
    """How much of an answer has come before its body."""

    def __init__(self) -> None:
        self._bytes: int | None = None

    def begin(self) -> None:
        self._bytes = 0

    def end(self) -> None:
        self._bytes = None

    def count(self, data: bytes) -> None:
        """Raises httpcore2.RemoteProtocolError."""
        if self._bytes is not None:
            self._bytes += len(data)
            if self._bytes > HEADERS_BYTES:
                raise RemoteProtocolError(f"{self._bytes} bytes came and no headers' end")


class _Network(NetworkBackend):
    """The usual one, its connections watched."""

    def __init__(self, usual: NetworkBackend, headers: Headers) -> None:
        self._usual = usual
        self.headers = headers

    def connect_tcp(self, *arguments: Any, **options: Any) -> NetworkStream:
        return Watched(self._usual.connect_tcp(*arguments, **options), self.headers)

    def connect_unix_socket(self, *arguments: Any, **options: Any) -> NetworkStream:
        return Watched(self._usual.connect_unix_socket(*arguments, **options), self.headers)

    def sleep(self, seconds: float) -> None:
        self._usual.sleep(seconds)


class _Transport(httpx2.BaseTransport):
    def __init__(self, transport: httpx2.BaseTransport) -> None:
        self._transport = transport
        self._headers = _watched(transport)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._headers.begin()
        try:
            response = self._transport.handle_request(request)
        finally:
            self._headers.end()
        limit = SMALL_BODY_BYTES
        if response.status_code < 300:
            limit = request.extensions.get(LIMIT, limit)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = Limited(response.stream, limit)
        return response


def _watched(transport: httpx2.BaseTransport) -> Headers:
    """Have every new connection of a transport watched; there is no public way in."""
    pool: Any = transport._pool  # type: ignore[attr-defined]  # pyright: ignore
    if not isinstance(pool._network_backend, _Network):
        pool._network_backend = _Network(pool._network_backend, Headers())
    return pool._network_backend.headers


class _Client(httpx2.Client):
    def _transport_for_url(self, url: httpx2.URL) -> httpx2.BaseTransport:
        return _Transport(super()._transport_for_url(url))


def _client() -> httpx2.Client:
    usual = default_client_factory()
    return _Client(
        event_hooks=usual.event_hooks,
        follow_redirects=usual.follow_redirects,
        timeout=usual.timeout,
    )


def watch_downloads() -> None:
    """From now on huggingface_hub's requests of this process are made with this client."""
    set_client_factory(_client)
