"""Windows of EnCodec: they tile the track, and each is there before what was there is heard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.backends.musicgen.codec_windows import (
    AHEAD_FRAMES,
    CROSS_FRAMES,
    MOST_FRAMES,
    SETTLE_FRAMES,
    codec_windows,
    decoded_frames,
)


@given(st.integers(1, 7000))
def test_they_tile_the_track_and_every_window_has_settled_where_it_takes_over(frames: int) -> None:
    windows = codec_windows(frames)
    assert windows[0].start == 0
    assert windows[-1].until == windows[-1].stop == frames
    for left, right in itertools.pairwise(windows):
        assert left.until + CROSS_FRAMES + AHEAD_FRAMES == left.stop
        assert left.until - right.start >= SETTLE_FRAMES or right.start == 0
        assert left.until < right.until <= left.until + MOST_FRAMES + CROSS_FRAMES + AHEAD_FRAMES
    assert max(window.frames for window in windows) <= 500


@pytest.mark.parametrize("tokens", [0.3, 0.4, 0.45])
def test_a_machine_in_real_time_has_every_piece_before_it_is_heard(tokens: float) -> None:
    """tokens: seconds for a second of music; EnCodec takes 0.13 s for a second of a window."""
    now, heard_from = 0.0, None
    for left, window in itertools.pairwise([None, *codec_windows(1500)]):
        known = 0 if left is None else left.stop
        before = 0 if left is None else left.until
        now += (tokens * (window.stop - known) + 0.13 * window.frames) / 50
        heard_from = now if heard_from is None else heard_from
        assert now - heard_from <= before / 50
    assert heard_from is not None
    assert heard_from < 1.5


def test_short_windows_at_first_cost_little() -> None:
    assert decoded_frames(1500) <= 1.6 * 1500
    assert decoded_frames(6000) <= 1.4 * 6000
