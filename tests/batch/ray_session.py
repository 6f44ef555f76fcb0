"""A Ray cluster on the loopback interface, of as many machines as are wanted: all are this one.

Its processes have a home of their own, where the token lies that they ask for. Its workers note
what they make, begin when there is one on every machine, and are ended by the prompt `poison`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

# A loaded machine takes a while for what takes seconds.
PATIENCE_SEC = 600.0
STARTED = b"Ray runtime started"
STORE_BYTES = 80_000_000

WATCHED = """
import sys

if any("default_worker" in each for each in sys.orig_argv):
    import os
    import time
    from pathlib import Path
    from lofi_daemon.batch.run import Batch

    make = Batch._make_one
    raylet = os.getppid()
    arrived = Path(os.environ["HOME"], "arrived")

    def watched(self, resolved, began, cancel):
        (arrived / str(raylet)).touch()
        while len(list(arrived.iterdir())) < RAYLETS:
            time.sleep(0.05)
        if resolved.recipe.request.prompt == "poison":
            os._exit(1)
        track = make(self, resolved, began, cancel)
        with open(os.path.join(os.environ["HOME"], "makings"), "a") as makings:
            makings.write(f"{track.track_id} {raylet}\\n")
        return track

    Batch._make_one = watched
"""


class RaySession:
    """A context manager. address: what --ray takes. environment: of whoever may use it."""

    def __init__(self, raylets: int, variables: Mapping[str, str] | None = None) -> None:
        """raylets: machines of one processor each. variables: of the environment of all of them."""
        self.folder = Path(tempfile.mkdtemp(prefix="lofi-ray-"))  # short: sockets lie in it
        self.home = self.folder / "home"
        watched = self.folder / "watched"
        for folder in (self.home / ".ray", self.home / "arrived", watched):
            folder.mkdir(parents=True)
        (watched / "sitecustomize.py").write_text(WATCHED.replace("RAYLETS", str(raylets)))
        (self.home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            **(variables or {}),
            "HOME": str(self.home),
            "LOFI_THREADS": "1",
            "RAY_AUTH_MODE": "token",
        }
        self._machine_environment = {
            **self.environment,
            "PYTHONPATH": str(watched),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._processes: list[psutil.Popen] = []
        self._raylets = raylets

    def __enter__(self) -> RaySession:
        head = ["--head", "--port", self.address.rpartition(":")[2], "--include-dashboard", "false"]
        try:
            self._start(*head, "--temp-dir", str(self.folder / "s"))
            for _ in range(self._raylets - 1):
                self._start("--address", self.address)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        psutil.wait_procs(self._processes, timeout=PATIENCE_SEC)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def musicians(self) -> list[psutil.Process]:
        """The actors that make songs now."""
        family = [each for one in self._processes for each in one.children(recursive=True)]
        return [each for each in family if _is_musician(each)]

    @property
    def makings(self) -> list[tuple[str, int]]:
        """Every track that was made, as often as it was, and the raylet that had it made."""
        try:
            lines = (self.home / "makings").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(track, int(raylet)) for track, raylet in map(str.split, lines)]

    def forget_makings(self) -> None:
        for noted in ((self.home / "makings"), *(self.home / "arrived").iterdir()):
            noted.unlink(missing_ok=True)

    def _start(self, *arguments: str) -> None:
        process = psutil.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                *("--node-ip-address", "127.0.0.1", "--num-cpus", "1"),
                *("--object-store-memory", str(STORE_BYTES), "--disable-usage-stats", *arguments),
            ],
            env=self._machine_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._processes.append(process)
        said: list[bytes] = []
        deadline = time.monotonic() + PATIENCE_SEC
        while line := process.stdout.readline():
            said.append(line)
            if STARTED in line:
                return
            assert time.monotonic() < deadline
        raise AssertionError(b"".join(said).decode())


def _is_musician(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "MapWorker" in " ".join(process.cmdline())
    return False
