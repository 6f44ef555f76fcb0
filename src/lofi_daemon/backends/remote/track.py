"""A track out of another machine's cache: its file piece by piece, and then its samples."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from typing import BinaryIO, cast

import numpy as np
import soundfile

from lofi_daemon.backends.protocol import BackendInfo, GenerationRequest
from lofi_daemon.backends.remote.peer import Peer
from lofi_daemon.backends.remote.told import ToldPiece, told
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import RemoteUnavailable
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import AudioClip

PIECE_BYTES = 1 << 19
MAX_CHANNELS = 2
# Titles and headers, beside the samples.
_BESIDE_BYTES = 1 << 20
_BLOCK_FRAMES = 1 << 16
_BITS = {"PCM_16": 16, "PCM_24": 24}


def fetch(
    peer: Peer,
    track_id: str,
    info: BackendInfo,
    request: GenerationRequest,
    *,
    on_share: Callable[[float], None],
    cancel: CancelToken,
) -> AudioClip:
    """The finished track of that request. on_share gets the share of the file that is here.

    Raises Lost, Cancelled, RemoteUnavailable for a file that is not whole or not that track's, and
    the other machine's own error.
    """
    with tempfile.TemporaryFile(prefix="lofi-") as file:
        _copy(peer, track_id, _most_bytes(info, request), cast("BinaryIO", file), on_share, cancel)
        file.seek(0)
        return _decoded(cast("BinaryIO", file), peer.address.name, info, request, cancel)


def _copy(
    peer: Peer,
    track_id: str,
    most: int,
    file: BinaryIO,
    on_share: Callable[[float], None],
    cancel: CancelToken,
) -> None:
    name, offset, digest = peer.address.name, 0, hashlib.sha256()
    first: ToldPiece | None = None
    while first is None or offset < first.bytes:
        wanted = {"track_id": track_id, "offset": offset, "limit": PIECE_BYTES}
        piece = told(ToldPiece, name, peer.call("tracks_read", wanted, cancel))
        first = first or piece
        if not 0 < first.bytes <= most:
            raise _not_whole(name, f"it is said to have {first.bytes} bytes")
        if (piece.bytes, piece.sha256) != (first.bytes, first.sha256):
            raise _not_whole(name, "it changed on the way")
        data = piece.decoded(name)
        if not 0 < len(data) <= min(PIECE_BYTES, first.bytes - offset):
            raise _not_whole(name, f"{offset} of {first.bytes} bytes came")
        file.write(data)
        digest.update(data)
        offset += len(data)
        on_share(offset / first.bytes)
    if digest.hexdigest() != first.sha256:
        raise _not_whole(name, "its checksum is another")


def _decoded(
    file: BinaryIO,
    name: str,
    info: BackendInfo,
    request: GenerationRequest,
    cancel: CancelToken,
) -> AudioClip:
    """The samples as they were before they were rounded, as far as that can be known.

    Integers n of b bits become n ÷ (2^(b−1) − 1), as they were made (see tracks/encoding.py), so
    that writing them again in as many bits gives the same integers.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            bits = _BITS.get(sound.subtype)
            expected = round(request.duration_sec * info.sample_rate)
            if (
                bits is None
                or sound.samplerate != info.sample_rate
                or not 1 <= sound.channels <= MAX_CHANNELS
                or abs(sound.frames - expected) > info.sample_rate
            ):
                raise _not_whole(
                    name,
                    f"it is {sound.frames} frames of {sound.subtype} at {sound.samplerate} Hz",
                )
            samples, position = spool.zeros(sound.channels, sound.frames), 0
            for block in sound.blocks(_BLOCK_FRAMES, dtype="int32", always_2d=True):
                cancel.raise_if_cancelled()
                integers = np.asarray(block, np.int32) >> (32 - bits)
                numbers = integers / (2 ** (bits - 1) - 1)
                samples[:, position : position + len(block)] = numbers.T
                position += len(block)
                spool.let_go(samples)
            if position != sound.frames:
                raise _not_whole(name, f"it breaks off after {position} of {sound.frames} frames")
            return AudioClip(samples, info.sample_rate)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise _not_whole(name, f"it cannot be read: {error}") from error


def _most_bytes(info: BackendInfo, request: GenerationRequest) -> int:
    """What a file of that length can have: no format writes more than four bytes a sample."""
    frames = (request.duration_sec + 1.0) * info.sample_rate
    return round(frames) * MAX_CHANNELS * 4 + _BESIDE_BYTES


def _not_whole(name: str, what: str) -> RemoteUnavailable:
    return RemoteUnavailable(
        f"The track did not arrive whole from {name}: {what}.",
        hint="Ask for it again; where that happens again, update lofi-daemon there and here.",
    )
