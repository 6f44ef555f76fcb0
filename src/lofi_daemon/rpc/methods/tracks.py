"""The finished tracks: tracks_list, tracks_read, tracks_keep, tracks_delete."""

from __future__ import annotations

import asyncio
import base64
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import FailFast, Field

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidParams, TrackNotFound
from lofi_daemon.models.checksums import hash_file
from lofi_daemon.parameters import Parameters
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message
from lofi_daemon.tracks import Track

# In base64 a piece leaves room for the rest of a line.
MAX_PIECE_BYTES = 1 << 19


class TracksListParameters(Parameters):
    query: str = Field(default="", description="A part of the prompt, case aside, or a track's id.")
    limit: int | None = Field(default=None, ge=0, description="At most so many; null: all.")
    offset: int = Field(default=0, ge=0, description="Leave out so many, the newest first.")


class TracksReadParameters(Parameters):
    track_id: str = Field(description="Which.")
    offset: int = Field(default=0, ge=0, description="The first byte of the file that is wanted.")
    limit: int = Field(
        default=MAX_PIECE_BYTES,
        ge=1,
        le=MAX_PIECE_BYTES,
        description="At most so many bytes, 1 to 524288.",
    )


class TracksReadResult(Message):
    data: str = Field(description="Bytes from the offset on, in base64; fewer only at the end.")
    bytes: int = Field(description="Of the whole file.")
    sha256: str = Field(description="Of the whole file.")


class TrackIdsParameters(Parameters):
    track_ids: Annotated[list[str], FailFast()] = Field(
        max_length=10_000, description="Which, up to 10 000 of them."
    )


class TracksKeepParameters(TrackIdsParameters):
    kept: bool = Field(description="Whether they stay, whatever room new ones need.")


class TrackResult(Track):
    """A track: the sidecar's fields, and where the audio is."""

    path: str = Field(description="The audio file.")


class TracksListResult(Message):
    tracks: list[TrackResult]
    total: int


class TracksKeepResult(Message):
    track_ids: list[str]
    kept: bool


class TracksDeleteResult(Message):
    deleted: list[str]
    bytes_freed: int


async def tracks_list(daemon: Daemon, params: TracksListParameters) -> TracksListResult:
    tracks, total = await asyncio.to_thread(
        daemon.tracks.page, params.query, params.limit, params.offset
    )
    return TracksListResult(
        tracks=[
            # checked when it was read
            TrackResult.model_construct(path=str(daemon.tracks.path(track)), **track.model_dump())
            for track in tracks
        ],
        total=total,
    )


async def tracks_read(daemon: Daemon, params: TracksReadParameters) -> TracksReadResult:
    return await asyncio.to_thread(_read_piece, daemon, params)


def _read_piece(daemon: Daemon, params: TracksReadParameters) -> TracksReadResult:
    track = daemon.tracks.find(params.track_id)
    if track is None:
        raise TrackNotFound(f"There is no track '{params.track_id[:64]}'.")
    path = daemon.tracks.path(track)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            file.seek(min(params.offset, status.st_size))
            piece = file.read(params.limit)
        digest = _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:
        raise TrackNotFound(
            f"Track '{track.track_id}' cannot be read: {error.strerror or error}."
        ) from error
    return TracksReadResult(
        data=base64.b64encode(piece).decode("ascii"), bytes=status.st_size, sha256=digest
    )


@lru_cache(maxsize=4)
def _digest(path: Path, size: int, changed_ns: int, inode: int) -> str:
    """SHA-256 of the file as it is in that state, so that its pieces cost one reading."""
    return hash_file(path, CancelToken())


async def tracks_keep(daemon: Daemon, params: TracksKeepParameters) -> TracksKeepResult:
    growing = [each for each in params.track_ids if daemon.early.keep(each, params.kept)]
    whole = [each for each in params.track_ids if each not in growing]
    changed = await asyncio.to_thread(daemon.tracks.keep, whole, params.kept)
    kept = [*growing, *(track.track_id for track in changed)]
    return TracksKeepResult(track_ids=kept, kept=params.kept)


async def tracks_delete(daemon: Daemon, params: TrackIdsParameters) -> TracksDeleteResult:
    playing = daemon.playing
    if playing is not None and playing in params.track_ids:
        raise InvalidParams(
            f"Track '{playing}' is playing and cannot be deleted.",
            hint="Stop it, or skip to another track, first.",
            track_id=playing,
        )
    deleted, freed = await asyncio.to_thread(daemon.tracks.delete, params.track_ids)
    return TracksDeleteResult(deleted=deleted, bytes_freed=freed)


METHODS = [
    Method("tracks_list", TracksListParameters, TracksListResult, tracks_list),
    Method("tracks_read", TracksReadParameters, TracksReadResult, tracks_read),
    Method("tracks_keep", TracksKeepParameters, TracksKeepResult, tracks_keep),
    Method("tracks_delete", TrackIdsParameters, TracksDeleteResult, tracks_delete),
]
