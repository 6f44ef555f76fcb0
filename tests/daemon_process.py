"""A daemon in a process of its own, driven over its pipes as a client would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SEC = 30.0  # how long a loaded machine may take for what takes no time

Json = dict[str, Any]


class DaemonProcess:
    """Starts the daemon; a context manager that ends it.

    Everything it writes is kept in `messages`, with the time of arrival in `arrivals`. Its log
    goes to `log_path`, read with `log()`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] | None = None,
        backends: Mapping[str, Json] | None = None,
        environment: Mapping[str, str] | None = None,
        read: bool = True,
    ) -> None:
        """`folder` becomes its cache home; `backends` (see tone_daemon) replaces the real ones."""
        if command is None:
            command = [sys.executable, "-m", "lofi_daemon"]
            if backends is not None:
                command = [sys.executable, "-m", "tests.tone_daemon", json.dumps(backends)]
        folder.mkdir(parents=True, exist_ok=True)
        self.tracks_folder = folder / "lofi.nvim" / "tracks"
        self.log_path = folder / "log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOFI_")}
        paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
        self.started_at = time.monotonic()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={
                    **inherited,
                    "PYTHONPATH": paths,
                    "XDG_CACHE_HOME": str(folder),
                    "XDG_CONFIG_HOME": str(folder / "config"),
                    "XDG_DATA_HOME": str(folder / "data"),
                    **(environment or {}),
                },
            )
        self.messages: list[Json] = []
        self.arrivals: list[float] = []
        self.raw_lines: list[bytes] = []
        self._changed = threading.Condition()
        self._ended = False
        self._next_id = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        if read:
            self._reader.start()

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Talking

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, *messages: Any) -> None:
        """Each message as a JSON line, in one write."""
        self.send_bytes(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def call(self, method: str, **params: Any) -> str:
        """Send a request; its id, for `answer`."""
        self._next_id += 1
        identity = f"call-{self._next_id}"
        self.send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
        return identity

    def answer(self, identity: object, timeout: float = PATIENCE_SEC) -> Json:
        """The whole response to that id."""
        return self.wait_for(lambda message: message.get("id") == identity, timeout)

    def request(self, method: str, timeout: float = PATIENCE_SEC, **params: Any) -> Any:
        """The result of a call; fails the test when it is an error."""
        response = self.answer(self.call(method, **params), timeout)
        assert "result" in response, response
        return response["result"]

    def error(self, method: str, timeout: float = PATIENCE_SEC, **params: Any) -> Json:
        """The error of a call; fails the test when it succeeds."""
        response = self.answer(self.call(method, **params), timeout)
        assert "error" in response, response
        return response["error"]

    # Listening

    def wait_for(self, wanted: Callable[[Json], bool], timeout: float = PATIENCE_SEC) -> Json:
        """The first message, past or coming, that is wanted; batches of answers are skipped."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for message in self.messages[seen:]:
                    if isinstance(message, dict) and wanted(message):
                        return message
                seen = len(self.messages)
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(
                        f"not among {seen} messages, the last of which are {self.messages[-5:]}; "
                        f"log: {self.log()[-2000:]}"
                    )
                self._changed.wait(left)

    def notification(self, method: str, timeout: float = PATIENCE_SEC, **params: Any) -> Json:
        """The params of the first notification of that method with those params."""

        def wanted(message: Json) -> bool:
            return message.get("method") == method and params.items() <= message["params"].items()

        return self.wait_for(wanted, timeout)["params"]

    def made(self, *prompts: str, duration_sec: float) -> list[str]:
        """The ids of new tracks, one a prompt, when all of them are complete."""
        ids: list[str] = []
        for seed, prompt in enumerate(prompts):
            ticket = self.request("generate", prompt=prompt, seed=seed, duration_sec=duration_sec)
            assert self.final(ticket["track_id"])["method"] == "generation_complete"
            ids.append(ticket["track_id"])
        return ids

    def final(self, track_id: str, timeout: float = PATIENCE_SEC) -> Json:
        """The notification that ends a track's job."""
        return self.wait_for(lambda message: is_final(message, track_id), timeout)

    def notifications(self, method: str | None = None, **params: Any) -> list[Json]:
        """Those that have come so far."""
        with self._changed:
            return [
                message
                for message in self.messages
                if "method" in message
                and method in (None, message["method"])
                and params.items() <= message["params"].items()
            ]

    def arrival(self, message: Json) -> float:
        """When a message came, on time.monotonic's clock."""
        with self._changed:
            return self.arrivals[next(i for i, m in enumerate(self.messages) if m is message)]

    # Ending

    def close(self) -> int:
        """End its input, as a client that exits does; the exit status."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_SEC)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self, timeout: float = PATIENCE_SEC) -> int:
        """The exit status, after all that it wrote has arrived."""
        status = self.process.wait(timeout)
        if self._reader.is_alive():
            self._reader.join(timeout)
        return status

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            arrived = time.monotonic()
            message = json.loads(line)
            with self._changed:
                self.raw_lines.append(line)
                self.messages.append(message)
                self.arrivals.append(arrived)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


FINAL = ("generation_complete", "generation_error", "generation_cancelled")


def is_final(message: Json, track_id: str) -> bool:
    return message.get("method") in FINAL and message["params"]["track_id"] == track_id
