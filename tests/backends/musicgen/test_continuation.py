"""Windows of 30 s in strides of 18 s."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.backends.musicgen.continuation import (
    FRAME_BEFORE_COST,
    KNOWN_FRAME_COST,
    Stretch,
    expected_cost,
    frames_for,
    stretches,
)

RATE = 50


def test_half_a_minute_is_one_window() -> None:
    assert stretches(1500, RATE) == [Stretch(0, 0, 1500)]


def test_the_next_window_knows_the_last_twelve_seconds() -> None:
    assert stretches(1550, RATE) == [Stretch(0, 0, 1500), Stretch(900, 600, 1550)]


def test_two_minutes_are_six_windows() -> None:
    starts = [window.start / RATE for window in stretches(6000, RATE)]
    assert starts == [0.0, 18.0, 36.0, 54.0, 72.0, 90.0]


@given(st.integers(1, 6000))
def test_windows_cover_the_track_and_never_exceed_30_s(frames: int) -> None:
    made = stretches(frames, RATE)
    assert made[0].start == made[0].known == 0
    assert made[-1].stop == frames
    for before, window in itertools.pairwise(made):
        assert window.start + window.known == before.stop
        assert window.known == 12 * RATE
    assert all(window.known < window.frames <= 30 * RATE for window in made)


@given(st.integers(1, 5999), st.integers(1, 6000))
def test_what_is_there_is_heard_for_twelve_seconds_at_most(known: int, more: int) -> None:
    frames = min(6000, known + more)
    made = stretches(frames, RATE, known)
    assert made[0].known == min(known, 12 * RATE)
    assert made[0].start + made[0].known == known
    assert made[-1].stop == frames
    for before, window in itertools.pairwise(made):
        assert window.start + window.known == before.stop
    assert all(window.known < window.frames <= 30 * RATE for window in made)
    assert expected_cost(made, known) == 0.0
    assert expected_cost(made, frames) >= frames - known


@pytest.mark.parametrize(("seconds", "frames"), [(5.0, 250), (30.0, 1500), (5.001, 251), (0.1, 5)])
def test_frames_cover_the_duration(seconds: float, frames: int) -> None:
    assert frames_for(seconds, RATE) == frames


def test_cost_counts_known_frames_once_their_window_begins() -> None:
    made = stretches(1550, RATE)
    first = expected_cost(made, 1500)
    new = 10 + FRAME_BEFORE_COST * 10 * 605
    assert expected_cost(made, 1510) == pytest.approx(first + new + 600 * KNOWN_FRAME_COST)


def test_the_last_frames_of_half_a_minute_take_nearly_twice_as_long_as_the_first() -> None:
    made = stretches(1500, RATE)
    last = expected_cost(made, 1500) - expected_cost(made, 1350)
    assert last / expected_cost(made, 150) == pytest.approx(142 / 82, rel=0.05)
