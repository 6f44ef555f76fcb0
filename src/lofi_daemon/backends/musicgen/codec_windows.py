"""The windows in which EnCodec decodes a track: short at first, so that it is soon heard.

Its LSTM runs forward from a state of zeros and its convolutions reach a few frames to either
side, so neighbouring windows cross over late in their shared stretch: the right one has settled
by then, and the left one does not feel its end yet.
"""

from __future__ import annotations

from dataclasses import dataclass

# Settling of the LSTM, then the crossing, then what the convolutions look ahead.
SETTLE_FRAMES = 100
CROSS_FRAMES = 10
AHEAD_FRAMES = 15
SHARED_FRAMES = SETTLE_FRAMES + CROSS_FRAMES + AHEAD_FRAMES
# What a window adds: half of what there is, so that it is there before that has been heard.
FIRST_FRAMES = 75
MOST_FRAMES = 375


@dataclass(frozen=True)
class CodecWindow:
    """Frames start … stop of the codes are decoded; those up to `until` are whole then."""

    start: int
    stop: int
    until: int

    @property
    def frames(self) -> int:
        return self.stop - self.start


def codec_windows(frames: int) -> list[CodecWindow]:
    """The windows of a track of that many frames, in order."""
    made: list[CodecWindow] = []
    until = stop = 0
    while stop < frames:
        start = max(0, stop - SHARED_FRAMES)
        new = max(FIRST_FRAMES, min(until // 2, MOST_FRAMES))
        stop = min(frames, until + new + CROSS_FRAMES + AHEAD_FRAMES)
        until = frames if stop == frames else until + new
        made.append(CodecWindow(start, stop, until))
    return made


def decoded_frames(frames: int) -> int:
    """How many frames are decoded for a track of that many, the shared ones twice."""
    return sum(window.frames for window in codec_windows(frames))
