"""One track being read: decoded in blocks, brought to the device's rate, a few seconds ahead.

Two threads meet here: a feeder calls `fill`, the device's callback calls `read`. Each owns its own
counter and the blocks travel through a deque, so neither ever waits for the other.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.mixer import CHANNELS, Block
from lofi_daemon.sound.files import SoundFile
from lofi_daemon.sound.growing import GrowingFile
from lofi_daemon.sound.growth import Growth
from lofi_daemon.text import shown

if TYPE_CHECKING:
    import soxr

READ_FRAMES = 8192
# Longer than any file: nothing is ever near the end of it.
UNKNOWN_FRAMES = 1 << 60


class TrackSource:
    """A sound file as stereo float32 blocks [frames, 2] at `sample_rate`.

    Positions and lengths are in frames at the output rate; where the file does not say how long it
    is, total_frames is UNKNOWN_FRAMES and duration_sec 0. growth: the file is still being written;
    what is not there yet is waited for. Raises AudioPlaybackError when the file is missing, empty
    or not sound; what breaks later in the file is kept in `failure`.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        position_sec: float = 0.0,
        growth: Growth | None = None,
    ) -> None:
        self.path = path
        self.growth = growth
        self.sample_rate = sample_rate
        self.failure: AudioPlaybackError | None = None
        self._file = SoundFile(path) if growth is None else GrowingFile(path, growth)
        file_rate: int = self._file.samplerate
        frames = self._file.known_frames
        self.duration_sec: float = frames / file_rate if frames is not None else 0.0
        self.total_frames = (
            max(1, round(frames * sample_rate / file_rate))
            if frames is not None
            else UNKNOWN_FRAMES
        )
        start = self._seek(max(0, round(position_sec * file_rate)))
        self._resampler = self._resampler_from(file_rate) if file_rate != sample_rate else None
        self._start = round(start * sample_rate / file_rate)
        self._blocks: deque[Block] = deque()
        self._head_offset = 0
        self._decoded = 0
        self._consumed = 0
        self._at_end = False

    def _seek(self, frame: int) -> int:
        """Begin there, at the file's own rate, or at the last frame; where that is."""
        last = self._file.known_frames
        frame = min(frame, UNKNOWN_FRAMES if last is None else last - 1)
        try:
            if frame > 0:
                return self._file.seek(frame)
        except (soundfile.LibsndfileError, RuntimeError):
            # behind an end that the header does not name, and of no use now: from the beginning
            self._file.close()
            self._file = SoundFile(self.path)
            return 0
        return frame

    def _resampler_from(self, file_rate: int) -> soxr.ResampleStream:
        import soxr

        try:
            return soxr.ResampleStream(
                file_rate, self.sample_rate, CHANNELS, dtype="float32", quality="VHQ"
            )
        except (RuntimeError, ValueError) as error:
            self._file.close()
            raise AudioPlaybackError(
                f"{shown(str(self.path))} cannot be played: {file_rate} samples a second cannot be "
                f"brought to {self.sample_rate} ({error})."
            ) from error

    @property
    def position(self) -> int:
        return self._start + self._consumed

    @property
    def buffered(self) -> int:
        return self._decoded - self._consumed

    @property
    def remaining(self) -> int:
        """Frames still to be read: from the file's header, exact once the end was decoded."""
        if self._at_end:
            return self.buffered
        return max(self.total_frames - self.position, self.buffered + 1)

    @property
    def decoded_to_its_end(self) -> bool:
        """Whether all that there will ever be of it is buffered or was read."""
        return self._at_end

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it has to be waited for. Raises AudioPlaybackError."""
        if self._at_end or not isinstance(self._file, GrowingFile):
            return True
        return self._file.frames_there == self._file.known_frames

    @property
    def exhausted(self) -> bool:
        return self._at_end and self.buffered == 0

    def fill(self, frames: int) -> None:
        """Decode until `frames` are buffered, or the track ends, or no more of it is there.

        Feeder's side.
        """
        while self.buffered < frames and not self._at_end:
            if not self._decode_block():
                return

    def _decode_block(self) -> bool:
        """Whether there may be more to decode now."""
        try:
            raw: Block = self._file.read_block(READ_FRAMES)
        except AudioPlaybackError as error:
            self.failure = error
            raw = np.zeros((0, self._file.channels), np.float32)
        last = self._file.is_over or self.failure is not None
        if len(raw) == 0 and not last:
            return False
        block = _to_stereo(raw)
        if self._resampler is not None:
            block = self._resampler.resample_chunk(block, last=last)
        if len(block):
            self._blocks.append(block)
            self._decoded += len(block)
        if last:
            self._at_end = True
            self._file.close()
        return True

    def read(self, frames: int) -> Block:
        """The next frames, fewer where fewer are buffered: float32 [≤ frames, 2]. Device's side."""
        parts: list[Block] = []
        wanted = min(frames, self.buffered)
        while wanted > 0:
            head = self._blocks[0]
            part = head[self._head_offset : self._head_offset + wanted]
            self._head_offset += len(part)
            if self._head_offset == len(head):
                self._blocks.popleft()
                self._head_offset = 0
            self._consumed += len(part)
            wanted -= len(part)
            parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros((0, CHANNELS), np.float32)

    def fail(self, error: AudioPlaybackError) -> None:
        """End here: what is buffered is still heard. Feeder's side."""
        self.failure = error
        self._at_end = True
        self._file.close()

    def close(self) -> None:
        self._at_end = True
        self._file.close()


def _to_stereo(raw: Block) -> Block:
    """[frames, any channels] → contiguous [frames, 2]: one channel goes to both sides."""
    channels = raw.shape[1]
    if channels == CHANNELS:
        return np.ascontiguousarray(raw)
    if channels == 1:
        return np.repeat(raw, CHANNELS, axis=1)
    return np.repeat(raw.mean(axis=1, keepdims=True, dtype=np.float32), CHANNELS, axis=1)
