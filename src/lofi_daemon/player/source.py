"""One track being read: decoded in blocks, brought to the device's rate, a few seconds ahead.

Two threads meet here: a feeder calls `fill`, the device's callback calls `read`. Each owns its own
counter and the blocks travel through a deque, so neither ever waits for the other.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import soundfile

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.mixer import CHANNELS, Block

READ_FRAMES = 8192


class TrackSource:
    """A sound file as stereo float32 blocks [frames, 2] at `sample_rate`.

    Positions and lengths are in frames at the output rate. Raises AudioPlaybackError when the file
    is missing, empty or not sound; what breaks later in the file is kept in `failure`.
    """

    def __init__(self, path: Path, sample_rate: int, position_sec: float = 0.0) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.failure: AudioPlaybackError | None = None
        try:
            self._file = soundfile.SoundFile(str(path))
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioPlaybackError(f"{path} cannot be played: {_reason(path, error)}") from error
        if self._file.frames <= 0:
            self._file.close()
            raise AudioPlaybackError(f"{path} cannot be played: there is no sound in it")
        file_rate: int = self._file.samplerate
        self.total_frames = max(1, round(self._file.frames * sample_rate / file_rate))
        self.duration_sec: float = self._file.frames / file_rate
        start = min(max(0, round(position_sec * file_rate)), self._file.frames - 1)
        self._file.seek(start)
        self._resampler = None
        if file_rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(
                file_rate, sample_rate, CHANNELS, dtype="float32", quality="VHQ"
            )
        self._start = round(start * sample_rate / file_rate)
        self._blocks: deque[Block] = deque()
        self._head_offset = 0
        self._decoded = 0
        self._consumed = 0
        self._at_end = False

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
    def exhausted(self) -> bool:
        return self._at_end and self.buffered == 0

    @property
    def fully_decoded(self) -> bool:
        return self._at_end

    def fill(self, frames: int) -> None:
        """Decode until `frames` are buffered or the track ends. Feeder's side."""
        while self.buffered < frames and not self._at_end:
            self._decode_block()

    def _decode_block(self) -> None:
        try:
            raw: Block = np.asarray(
                self._file.read(READ_FRAMES, dtype="float32", always_2d=True), np.float32
            )
        except (soundfile.LibsndfileError, OSError) as error:
            self.failure = AudioPlaybackError(f"{self.path} cannot be read on: {error}")
            raw = np.zeros((0, self._file.channels), np.float32)
        last = len(raw) < READ_FRAMES
        block = _to_stereo(raw)
        if self._resampler is not None:
            block = self._resampler.resample_chunk(block, last=last)
        if len(block):
            self._blocks.append(block)
            self._decoded += len(block)
        if last:
            self._at_end = True
            self._file.close()

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


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "the file is gone"
    return str(error)
