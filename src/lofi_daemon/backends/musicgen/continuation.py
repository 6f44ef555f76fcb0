"""Past 30 s: windows that each go on from the last 12 s of the one before.

As in the reference implementation (audiocraft, `extend_stride`): a window never sees more than
30 s, so the position embedding and the caches never reach beyond what the model was trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WINDOW_SEC = 30
STRIDE_SEC = 18
# What a known frame costs beside a new one: all of them pass through the decoder in one call.
KNOWN_FRAME_COST = 0.35
# What each frame before it adds to the cost of a new one, by attention: measured in 4 bits, where
# the last of 30 s takes 1.8 times as long as the first.
FRAME_BEFORE_COST = 0.8 / 1500


@dataclass(frozen=True)
class Stretch:
    """Frames start … stop of the track; the first `known` of them come from the stretch before, or
    from the music that the track goes on from."""

    start: int
    known: int
    stop: int

    @property
    def frames(self) -> int:
        return self.stop - self.start


def frames_for(duration_sec: float, frame_rate: int) -> int:
    """Token frames that cover a duration: rounded up, the decoded track is cut to length."""
    return max(1, math.ceil(round(duration_sec * frame_rate, 6)))


def stretches(frames: int, frame_rate: int, known: int = 0) -> list[Stretch]:
    """The windows that make a track of `frames` token frames, in order.

    known: frames that are there already, fewer than `frames`; the model hears the last 12 s of
    them.
    """
    window, stride = WINDOW_SEC * frame_rate, STRIDE_SEC * frame_rate
    start = max(0, known - (window - stride))
    made = [Stretch(start, known - start, min(frames, start + window))]
    while made[-1].stop < frames:
        start = made[-1].start + stride
        made.append(Stretch(start, made[-1].stop - start, min(frames, start + window)))
    return made


def expected_cost(windows: list[Stretch], frames: int) -> float:
    """The work of the first `frames` frames of a track, that of its very first being 1."""
    cost = 0.0
    for window in windows:
        new = min(frames, window.stop) - window.start - window.known
        if new > 0:
            before = new * (window.known + new / 2.0)
            cost += new + FRAME_BEFORE_COST * before + KNOWN_FRAME_COST * window.known
    return cost
