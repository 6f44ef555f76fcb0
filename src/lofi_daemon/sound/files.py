"""Sound files as people have them: of any name and of any length, read in blocks."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.text import shown

Frames = NDArray[np.float32]

# What libsndfile says of a file whose header names no length, as a FLAC written into a pipe.
_UNKNOWN_FRAMES = 1 << 60


class SoundFile(soundfile.SoundFile):
    """A sound file that is open for reading.

    wanted: what it was to be, for the message. Raises AudioPlaybackError when it is no regular
    file, cannot be read or is not sound.
    """

    def __init__(self, path: Path, wanted: str = "played") -> None:
        self.path = path
        problem = f"{shown(str(path))} cannot be {wanted}"
        self.is_over = False
        """Whether the last frame was read."""
        try:
            # A FIFO would wait for a writer for ever, and a device never ends.
            if not stat.S_ISREG(path.stat().st_mode):
                raise AudioPlaybackError(f"{problem}: it is not a file.")
            # Names are bytes outside Windows, and need not be text.
            name: Any = str(path) if sys.platform == "win32" else os.fsencode(path)
            super().__init__(name)
        except OSError as error:
            raise AudioPlaybackError(f"{problem}: {_reason(error)}.") from error
        except (soundfile.LibsndfileError, ValueError) as error:
            raise AudioPlaybackError(f"{problem}: {_said(error)}.") from error
        if self.frames <= 0:
            self.close()
            raise AudioPlaybackError(f"{problem}: there is no sound in it.")

    @property
    def known_frames(self) -> int | None:
        """The length in frames as the header has it; None where it has none."""
        frames: int = self.frames
        return frames if frames < _UNKNOWN_FRAMES else None

    def seekable(self) -> bool:
        # After each block soundfile seeks to where it is, which fails at an end that is not known.
        return self.known_frames is not None and super().seekable()

    def read_block(self, frames: int) -> Frames:
        """The next frames, fewer only at the end: float32 [≤ frames, channels].

        Raises AudioPlaybackError when the file breaks off.
        """
        try:
            block = np.asarray(self.read(frames, dtype="float32", always_2d=True), np.float32)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioPlaybackError(
                f"{shown(str(self.path))} cannot be read on: {_said(error)}."
            ) from error
        self.is_over = len(block) < frames
        return block

    def blocks_to_the_end(self, frames: int) -> Iterator[Frames]:
        """Block after block of that many frames, the last one shorter. Raises as `read_block`."""
        while len(block := self.read_block(frames)):
            yield block


def _reason(error: OSError) -> str:
    return "the file is gone" if isinstance(error, FileNotFoundError) else _said(error)


def _said(error: Exception) -> str:
    """What a library said, without the name of the file, which stands before it."""
    if isinstance(error, soundfile.LibsndfileError):
        return error.error_string.rstrip(".")
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).rstrip(".")
