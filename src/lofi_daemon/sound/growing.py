"""Sound that is written while it is read: one process appends to a file, another plays it.

The file holds nothing but samples of 16 bits, frame after frame. How long it will be stands in its
`Growth`, how much of it is there in its size.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.sound.clip import Samples
from lofi_daemon.sound.growth import Growth
from lofi_daemon.text import shown

FULL_SCALE = 32767.0
# A listener who wants to hear what is not there yet is taken this close to it.
BEHIND_THE_END_SEC = 1.0


def as_bytes(samples: Samples) -> bytes:
    """float32 [channels, n] as the file has them; what is over full scale is clipped."""
    scaled = np.rint(np.clip(samples.T, -1.0, 1.0) * FULL_SCALE)
    return np.ascontiguousarray(scaled, dtype="<i2").tobytes()


class GrowingFile:
    """One reading of a growing file, with the methods of `SoundFile` that a player needs.

    Raises AudioPlaybackError when the file is gone, or is no regular file.
    """

    def __init__(self, path: Path, growth: Growth) -> None:
        self.path = path
        self._growth = growth
        self._position = 0
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would wait for a writer for ever
                raise AudioPlaybackError(f"{shown(str(path))} cannot be read on: it is not a file.")
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise _unreadable(path, error) from error

    @property
    def samplerate(self) -> int:
        return self._growth.sample_rate

    @property
    def channels(self) -> int:
        return self._growth.channels

    @property
    def known_frames(self) -> int | None:
        return self._growth.frames

    @property
    def frames_there(self) -> int:
        """How many frames can be read now. Raises AudioPlaybackError."""
        try:
            size = os.fstat(self._file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        return min(size // self._growth.frame_bytes, self._growth.frames)

    @property
    def is_over(self) -> bool:
        """Whether the last frame was read."""
        return self._position >= self._growth.frames

    def seek(self, frame: int) -> int:
        """Go on there, or a second before the end of what is there; where that is."""
        if self.frames_there < self._growth.frames:
            close = round(BEHIND_THE_END_SEC * self._growth.sample_rate)
            frame = min(frame, max(0, self.frames_there - close))
        self._position = min(frame, self._growth.frames - 1)
        return self._position

    def read_block(self, frames: int) -> NDArray[np.float32]:
        """The next frames, as many as are there: float32 [≤ frames, channels].

        Raises AudioPlaybackError when the file cannot be read.
        """
        count = min(frames, self.frames_there - self._position)
        if count <= 0:
            return np.zeros((0, self._growth.channels), np.float32)
        size = self._growth.frame_bytes
        try:
            self._file.seek(self._position * size)
            data = self._file.read(count * size)
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        whole = len(data) // size
        self._position += whole
        block = np.frombuffer(data[: whole * size], "<i2").reshape(whole, self._growth.channels)
        return np.divide(block, FULL_SCALE, dtype=np.float32)

    def close(self) -> None:
        self._file.close()


def _unreadable(path: Path, error: OSError | ValueError) -> AudioPlaybackError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return AudioPlaybackError(f"{shown(str(path))} cannot be read on: {reason}.")
