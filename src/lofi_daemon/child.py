"""Processes that this package starts itself: isolated from where the user happens to be.

Python looks for modules in the working folder first, and an editor's working folder may hold
anybody's files. A child therefore works in a folder of ours, finds modules exactly where its
parent found them (that folder aside), and is told of the environment only what it needs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).parent.parent
"""The folder that holds this package."""

_LEASH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))

# A name that ends in "_" stands for all that begin with it.
NEEDED = (
    *("HOME", "USER", "LOGNAME", "PATH", "LANG", "LANGUAGE", "LC_", "TZ", "TMPDIR", "XDG_"),
    # where the system, or who packaged Python for it, keeps libraries
    *("LD_", "DYLD_", "NIX_", "PYTHONHOME", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"),
    # Windows
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE"),
    *("HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROCESSOR_"),
    "NUMBER_OF_PROCESSORS",
)
SOUND = ("PULSE_", "PIPEWIRE_", "ALSA_", "JACK_", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY")
"""What finds the sound server; DISPLAY too, for PulseAudio over a network."""
NETWORK = (
    *("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "SSL_CERT_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""What downloads ask: the Hub's settings and token, proxies, certificates."""


REACHING = (
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "KUBECONFIG", "WSLENV"),
    *("DOCKER_", "CONTAINER_", "PODMAN_"),
)
"""What finds another machine, or a container, and who one is there."""


@dataclass(frozen=True)
class Child:
    """How to start one: a command line, a working folder, an environment."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


def child(module: str, *arguments: str, also: Sequence[str] = (), root: Path = HOME) -> Child:
    """`python -m module arguments…`, isolated.

    also: names of the environment beyond NEEDED; root: the folder that holds the module's package,
    where the child works.
    """
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return Child(
        (sys.executable, *safe, "-m", module, *arguments),
        root,
        {**_environment(also), "PYTHONPATH": os.pathsep.join(_search_path(root))},
    )


def program(command: Sequence[str], *, also: Sequence[str] = ()) -> Child:
    """A program that is not ours, with no more of the environment. also: as for `child`."""
    return Child(tuple(command), HOME, _environment(also))


class Companion:
    """A program that is not ours, where there is no event loop, talked to over three pipes.

    It is a group of its own: the terminal's Ctrl-C is not meant for it, and what it starts itself
    ends with it. It is on a leash (see leash.py, not on Windows): when this process is killed it
    ends too, whether it notices the end of its input or not. Raises OSError where it cannot be
    started; one that is not there ends with status 127, and says so as its last word.
    """

    def __init__(self, told: Child) -> None:
        held, hold = os.pipe()
        self._leash = os.fdopen(hold, "wb", buffering=0)
        try:
            self._process = self._started(told, held)
        except OSError:
            self._leash.close()
            raise
        finally:
            os.close(held)

    def _started(self, told: Child, held: int) -> subprocess.Popen[bytes]:
        command, keep, pipe = told.command, (), subprocess.PIPE
        if sys.platform != "win32":
            command, keep = (*_LEASH, str(held), *told.command), (held,)
        return subprocess.Popen(
            command,
            cwd=told.folder,
            env=told.environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            pass_fds=keep,
            start_new_session=sys.platform != "win32",
        )

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """None while it runs; the negative number of the signal that ended it."""
        return self._process.poll()

    def write(self, data: bytes) -> None:
        """Raises OSError, ValueError once the pipe is closed."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def read(self, limit: int) -> bytes:
        """Some of its output, none at the end. Raises OSError."""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), limit)

    def read_errors(self, limit: int) -> bytes:
        """The same of what it says beside. Raises OSError."""
        assert self._process.stderr is not None
        return os.read(self._process.stderr.fileno(), limit)

    def wait(self, timeout_sec: float) -> bool:
        """Whether it ended in that time."""
        try:
            self._process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            return False
        self._leash.close()
        return True

    def kill(self) -> None:
        """End it, and what it started, at once."""
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.kill()
            elif self.status is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._leash.close()


async def start(told: Child, **pipes: Any) -> asyncio.subprocess.Process:
    """Start it in the event loop; pipes: stdin, stdout and stderr. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *told.command, cwd=told.folder, env=told.environment, **pipes
    )


def _environment(also: Sequence[str]) -> dict[str, str]:
    names = (*NEEDED, *also)
    return {name: value for name, value in os.environ.items() if _is_among(name, names)}


def _is_among(name: str, wanted: Sequence[str]) -> bool:
    return any(name.startswith(each) if each.endswith("_") else name == each for each in wanted)


def _search_path(root: Path) -> list[str]:
    """This process's own, without the folder it works in; it holds `root`."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the folder was deleted since
        here = None
    path = [each for each in sys.path if Path(each).is_absolute() and Path(each) != here]
    return path if str(root) in path else [*path, str(root)]
