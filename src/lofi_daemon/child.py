"""Processes of this package that it starts itself: isolated from where the user happens to be.

Python looks for modules in the working folder first, and an editor's working folder may hold
anybody's files. A child therefore works in a folder of ours, finds modules exactly where its
parent found them (that folder aside), and is told of the environment only what it needs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).parent.parent
"""The folder that holds this package."""

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
    names = (*NEEDED, *also)
    environment = {name: value for name, value in os.environ.items() if _is_among(name, names)}
    return Child(
        (sys.executable, *safe, "-m", module, *arguments),
        root,
        {**environment, "PYTHONPATH": os.pathsep.join(_search_path(root))},
    )


async def start(told: Child, **pipes: Any) -> asyncio.subprocess.Process:
    """Start it in the event loop; pipes: stdin, stdout and stderr. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *told.command, cwd=told.folder, env=told.environment, **pipes
    )


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
