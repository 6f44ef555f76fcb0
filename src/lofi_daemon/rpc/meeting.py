"""Where the daemons of one user meet, and the lines that they send each other there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from lofi_daemon.files.private import private_folder
from lofi_daemon.rpc.messages import encode, notification

log = logging.getLogger(__name__)

MUSIC = "music"
MAX_LINE_BYTES = 1 << 21
MAX_PATH_BYTES = 100  # of a socket's name; systems have room for 104 to 108


class _Said(BaseModel):
    model_config = ConfigDict(defer_build=True)


class Asked(_Said):
    """What a follower asks its leader for."""

    id: int
    method: str
    params: dict[str, Any]


class Told(_Said):
    """What a leader tells everybody who hears its music."""

    method: str
    params: dict[str, Any]


class Failure(_Said):
    """An error of `lofi_daemon.errors`, by its name."""

    name: str
    message: str
    hint: str = ""
    data: dict[str, Any] = {}


class Answered(_Said):
    """A leader's answer: a result, unless there is an error."""

    id: int
    result: Any = None
    error: Failure | None = None


@dataclass(frozen=True)
class Follower:
    """Another daemon, as the one that leads sees it."""

    writer: asyncio.StreamWriter

    def notify(self, method: str, params: BaseModel) -> None:
        self.send(encode(notification(method, params)))

    def send(self, line: bytes) -> None:
        """Whoever takes nothing any more is let go: it finds the music again when it wakes."""
        transport = self.writer.transport
        if transport.get_write_buffer_size() > MAX_LINE_BYTES:
            log.warning("Another editor's daemon takes nothing any more, and is let go.")
            transport.abort()
        elif not transport.is_closing():
            self.writer.write(line)


async def messages(reader: asyncio.StreamReader) -> AsyncGenerator[dict[str, Any], None]:
    """What the other side says, until it ends; a line that is no message concerns that line only.

    Between daemons of two versions there may be such lines.
    """
    while True:
        try:
            line = await reader.readline()
        except (ValueError, OSError):  # too long a line, or the other side is gone
            return
        if not line:
            return
        try:
            message: object = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            yield cast("dict[str, Any]", message)
        else:
            log.warning("Another editor's daemon said what this one does not understand.")


def meeting_place(tracks_folder: Path) -> Path | None:
    """Where the daemons of this user on this cache meet, without the ending; None: nowhere."""
    if sys.platform == "win32":
        return None
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given:
        folder = Path(given) / "lofi.nvim"
    else:
        folder = Path(tempfile.gettempdir()) / f"lofi.nvim-{os.geteuid()}"
    name = hashlib.sha256(os.fsencode(os.path.realpath(tracks_folder))).hexdigest()[:16]
    place = folder / name
    if len(os.fsencode(place)) + len(".sock") > MAX_PATH_BYTES:
        return None
    try:
        private_folder(folder)
        status = folder.lstat()
    except OSError:
        return None
    mine = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return place if mine else None
