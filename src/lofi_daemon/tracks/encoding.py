"""Sound into bytes of an audio file: WAV and FLAC, in 16 or 24 bits.

Samples are scaled, rounded to nearest and clipped here, so that the bytes depend on no library's
idea of conversion. Same samples, same bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.errors import CacheWriteFailed, ModelInferenceFailed
from lofi_daemon.files.temporary import TemporaryFile, replacing
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import AudioClip, Samples

BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True)
class Encoding:
    """What soundfile calls it, and how wide a sample is."""

    container: str
    subtype: str
    suffix: str
    bits: int


ENCODINGS: dict[TrackFormat, Encoding] = {
    "wav16": Encoding("WAV", "PCM_16", ".wav", 16),
    "wav24": Encoding("WAV", "PCM_24", ".wav", 24),
    "flac": Encoding("FLAC", "PCM_16", ".flac", 16),
    "flac24": Encoding("FLAC", "PCM_24", ".flac", 24),
}


def bytes_needed(clip: AudioClip, track_format: TrackFormat) -> int:
    """An upper bound on the size of the file."""
    channels, frames = clip.samples.shape
    return channels * frames * ENCODINGS[track_format].bits // 8 + 4096


def encode(
    clip: AudioClip,
    descriptor: int,
    track_format: TrackFormat,
    *,
    title: str,
    comment: str,
    cancel: CancelToken,
) -> None:
    """Write the whole file to an open descriptor.

    Raises OSError when the file cannot take it, Cancelled, and ModelInferenceFailed when a sample
    is not a finite number.
    """
    encoding = ENCODINGS[track_format]
    file = _DescriptorFile(descriptor)
    try:
        with soundfile.SoundFile(
            cast("BinaryIO", file),
            "w",
            samplerate=clip.sample_rate,
            channels=clip.samples.shape[0],
            format=encoding.container,
            subtype=encoding.subtype,
        ) as sound:
            sound.title = _one_line(title)
            sound.comment = _one_line(comment)
            for _, block in spool.segments(clip.samples, BLOCK_FRAMES):
                cancel.raise_if_cancelled()
                sound.write(_quantised(block, encoding.bits))
                file.raise_if_failed()
    except (AssertionError, soundfile.LibsndfileError):
        # soundfile reports a short write in its own terms; the reason is the file's.
        file.raise_if_failed()
        raise
    file.raise_if_failed()


def _quantised(samples: Samples, bits: int) -> np.ndarray:
    """Integers [frames, channels]; those of 24 bits sit in the upper bytes of 32."""
    block = samples.T.astype(np.float64)
    if not np.isfinite(block).all():
        raise ModelInferenceFailed("The finished track holds samples that are not numbers.")
    full_scale = 2 ** (bits - 1) - 1
    integers = np.rint(np.clip(block, -1.0, 1.0) * full_scale)
    if bits == 16:
        return np.ascontiguousarray(integers, dtype=np.int16)
    return np.ascontiguousarray(integers, dtype=np.int32) << (32 - bits)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


class _DescriptorFile:
    """A file object for soundfile that remembers why a write failed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._failure: OSError | None = None

    def raise_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure

    def write(self, data: bytes) -> int:
        # An exception cannot pass through libsndfile; a short count can.
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._failure = self._failure or error
            return 0
        return len(data)

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def readinto(self, buffer: bytearray) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def flush(self) -> None:
        """Nothing is held back here."""


def copy_audio(source: Path, target: Path) -> None:
    """A copy under another name, converted where its ending asks for the other format.

    Raises CacheWriteFailed naming the target; then nothing is there that was not before.
    """
    try:
        with replacing(target, mode=0o666) as file:
            if source.suffix == target.suffix.lower():
                with source.open("rb") as original:
                    while piece := original.read(BLOCK_FRAMES):
                        file.write(piece)
            else:
                _convert(source, file, target.suffix.removeprefix(".").upper())
    except (OSError, soundfile.LibsndfileError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise CacheWriteFailed(
            f"{target} cannot be written: {problem}.",
            hint=f"Choose another --output. The track is made: {source}",
            path=str(target),
        ) from error


def _convert(source: Path, target: TemporaryFile, container: str) -> None:
    """Raises OSError and LibsndfileError."""
    output = _DescriptorFile(target.descriptor)
    try:
        with (
            soundfile.SoundFile(source) as original,
            soundfile.SoundFile(
                cast("BinaryIO", output),
                "w",
                samplerate=original.samplerate,
                channels=original.channels,
                format=container,
                subtype="PCM_16",
            ) as converted,
        ):
            for block in original.blocks(BLOCK_FRAMES, dtype="int32", always_2d=True):
                converted.write(block)
                output.raise_if_failed()
    except AssertionError:  # how soundfile puts a short write
        output.raise_if_failed()
        raise
    output.raise_if_failed()
