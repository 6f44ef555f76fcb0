"""A server on loopback that speaks the Hub's protocol, and breaks it on demand.

Large files are kept as the Hub keeps them: `resolve` answers with the facts and redirects to
another host, which serves ranges. Small ones are served at once and have git's blob id as etag.
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote

SMALL_BYTES = 2_000
BLOCK_BYTES = 16 << 10
COMMIT = "c0ffee" * 6 + "0000"


@dataclass
class HubRepository:
    """Files by path, and what goes wrong with them, in the order in which it does."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, deque[str]] = field(default_factory=dict)
    commit: str = COMMIT
    needs_token: str | None = None
    bytes_per_sec: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    body_bytes_sent: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens_leaked: int = 0

    def fail(self, path: str, *faults: str) -> None:
        """Queue faults for a path: "500", "truncated", "wrong bytes", "stall", "disconnect",
        "no range", "wrong range", "endless error" (of its contents),
        "plain 404", "404", "401", "403",
        "new contents" (of its description)."""
        self.faults.setdefault(path, deque()).extend(faults)

    def forget_traffic(self) -> None:
        with self.lock:
            self.body_bytes_sent.clear()
            self.requests.clear()

    @property
    def bytes_sent(self) -> int:
        with self.lock:
            return sum(self.body_bytes_sent.values())

    def next_fault(self, path: str, among: frozenset[str]) -> str | None:
        with self.lock:
            waiting = self.faults.get(path)
            return waiting.popleft() if waiting and waiting[0] in among else None


OF_DESCRIPTIONS = frozenset(
    {"plain 404", "404", "401", "403", "500 on description", "new contents"}
)
OF_CONTENTS = frozenset(
    {
        "500",
        "truncated",
        "wrong bytes",
        "stall",
        "disconnect",
        "no range",
        "wrong range",
        "endless error",
    }
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    repository: ClassVar[HubRepository]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        repository = self.repository
        with repository.lock:
            repository.requests.append(f"{self.command} {self.path}")
        if self.path.startswith("/cdn/"):
            if "Authorization" in self.headers:
                repository.tokens_leaked += 1
            return self._send_contents(unquote(self.path.removeprefix("/cdn/")))
        match = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None:
            return self._refuse(404, None)
        return self._describe(match[2], unquote(match[3]), with_body=with_body)

    def _describe(self, revision: str, path: str, *, with_body: bool) -> None:
        repository = self.repository
        fault = repository.next_fault(path, OF_DESCRIPTIONS)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if fault == "plain 404":
            return self._refuse(404, None)
        if fault == "404" or path not in repository.files:
            return self._refuse(404, "EntryNotFound")
        if revision not in ("main", repository.commit):
            return self._refuse(404, "RevisionNotFound")
        if fault == "401" or (repository.needs_token and token != repository.needs_token):
            return self._refuse(401, "RepoNotFound")
        if fault == "403":
            return self._refuse(403, "GatedRepo")
        if fault == "500 on description":
            return self._refuse(500, None)
        if fault == "new contents":
            repository.files[path] = bytes(reversed(repository.files[path]))
        contents = repository.files[path]
        if len(contents) <= SMALL_BYTES:
            if with_body:
                return self._send_contents(path)
            self.send_response(200)
            self.send_header("X-Repo-Commit", repository.commit)
            self.send_header("ETag", f'"{_git_blob(contents)}"')
            self.send_header("Content-Length", str(len(contents)))
            self.end_headers()
            return None
        self.send_response(302)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(contents).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(contents)))
        port = self.server.server_address[1]
        self.send_header("Location", f"http://localhost:{port}/cdn/{path}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _send_contents(self, path: str) -> None:
        repository = self.repository
        contents = repository.files[path]
        fault = repository.next_fault(path, OF_CONTENTS)
        if fault == "500":
            return self._refuse(500, None)
        if fault == "endless error":
            self.send_response(418)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            self.close_connection = True
            return self._send_slowly(path, bytes(200_000_000))
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and fault != "no range":
            start = int(asked[1])
            if start >= len(contents):
                return self._refuse(416, None)
            shown = start + (1000 if fault == "wrong range" else 0)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {shown}-{len(contents) - 1}/{len(contents)}")
        else:
            self.send_response(200)
        body = contents[start:]
        if fault == "wrong bytes":
            body = bytes([body[0] ^ 1]) + body[1:]
        length = len(body)
        if fault in ("truncated", "disconnect", "stall"):
            body = body[: length // 2]
        # "truncated" lies about the length, so that only the sizes tell.
        self.send_header("Content-Length", str(len(body) if fault == "truncated" else length))
        self.send_header("X-Repo-Commit", repository.commit)
        self.end_headers()
        self._send_slowly(path, body)
        if fault == "stall":
            select.select([self.connection], [], [], 30.0)  # until the client hangs up
        if fault in ("disconnect", "stall"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return None

    def _send_slowly(self, path: str, body: bytes) -> None:
        # A small buffer: what was sent is then what was received, but for some kilobytes.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK_BYTES)
        repository = self.repository
        try:
            for position in range(0, len(body), BLOCK_BYTES):
                block = body[position : position + BLOCK_BYTES]
                self.wfile.write(block)
                with repository.lock:
                    sent = repository.body_bytes_sent.get(path, 0)
                    repository.body_bytes_sent[path] = sent + len(block)
                if repository.bytes_per_sec is not None:
                    time.sleep(len(block) / repository.bytes_per_sec)
        except OSError:
            self.close_connection = True  # the client is gone

    def _refuse(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


class HubServer:
    """The running server: `repository` is what it serves, under any owner and name."""

    def __init__(self) -> None:
        self.repository = HubRepository()
        handler = type("Handler", (_Handler,), {"repository": self.repository})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, files: dict[str, bytes]) -> HubRepository:
        """Start over with these files and no faults."""
        repository = self.repository
        repository.files = dict(files)
        repository.faults.clear()
        repository.commit = COMMIT
        repository.needs_token = None
        repository.bytes_per_sec = None
        repository.tokens_leaked = 0
        repository.forget_traffic()
        return repository

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _git_blob(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents).hexdigest()
