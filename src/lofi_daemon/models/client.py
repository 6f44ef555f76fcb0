"""The HTTP client of downloads: nothing that answers can fill the memory or take for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

# Descriptions and what a server says of an error.
SMALL_BODY_BYTES = 1 << 20
# Slower than this over a stretch of time is taken for a stalled connection.
MIN_BYTES_PER_SEC = 1000
STRETCH_SEC = 30.0
LIMIT = "lofi_daemon.limit"
"""The extension of a request that says how many bytes its answer may have."""


class Watched(httpx2.SyncByteStream):
    """A body that ends at a limit, and fails where it comes too slowly."""

    def __init__(
        self,
        stream: httpx2.SyncByteStream,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._limit = limit
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        """Raises httpx2.ReadTimeout."""
        left = self._limit
        since, arrived = self._clock(), 0
        for block in self._stream:
            now = self._clock()
            arrived += len(block)
            if now - since >= STRETCH_SEC:
                if arrived < MIN_BYTES_PER_SEC * (now - since):
                    raise httpx2.ReadTimeout(
                        f"only {arrived} bytes arrived in {now - since:.0f} seconds"
                    )
                since, arrived = now, 0
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx2.BaseTransport):
    def __init__(self, transport: httpx2.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._transport.handle_request(request)
        limit = SMALL_BODY_BYTES
        if response.status_code < 300:
            limit = request.extensions.get(LIMIT, limit)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = Watched(response.stream, limit)
        return response


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
