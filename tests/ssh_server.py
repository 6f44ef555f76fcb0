"""A real sshd on the loopback interface, with keys of its own and nobody's configuration."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

STARTING_SEC = 20.0

CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


class SshServer:
    """A context manager; `command` is what reaches a program through it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        for name in ("host", "key", "stranger"):
            making = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(making, check=True, stdin=subprocess.DEVNULL)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        configuration = CONFIGURATION.format(port=self.port, folder=folder)
        (folder / "configuration").write_text(configuration)
        sshd = shutil.which("sshd")
        assert sshd is not None
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(folder / "configuration")],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self._wait()

    def __enter__(self) -> SshServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self.connections():
            with suppress(psutil.Error):
                connection.kill()
        self._process.terminate()
        self._process.wait(STARTING_SEC)

    def command(self, program: Sequence[str], *options: str, key: str = "key") -> list[str]:
        """ssh's command line; options go before the host."""
        return [
            *("ssh", "-F", "none", "-p", str(self.port), "-i", str(self.folder / key)),
            *("-o", f"UserKnownHostsFile={self.folder / 'known'}"),
            *("-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes"),
            *options,
            *("127.0.0.1", shlex.join(program)),
        ]

    def connections(self) -> list[psutil.Process]:
        """The processes of sshd that serve one connection each."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTING_SEC
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)
