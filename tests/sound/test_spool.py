"""Long arrays lie on the disk and keep their values; where they cannot, they lie in memory."""

from __future__ import annotations

import os
import sys

import numpy as np
import psutil
import pytest

from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import SEGMENT_FRAMES, fade_out, join_to_length, normalise_peak, scale

MEGABYTE = 1 << 20
FRAMES = 12_000_000
linux = pytest.mark.skipif(sys.platform != "linux", reason="mappings are given back on Linux only")


def resident() -> int:
    return psutil.Process().memory_info().rss


@linux
def test_a_long_array_takes_no_memory_but_what_is_being_touched() -> None:
    before = resident()
    array = spool.zeros(2, FRAMES)
    peak = 0
    for start, segment in spool.segments(array, 100_000):
        segment[:] = start
        peak = max(peak, resident())
    assert array.nbytes > 90 * MEGABYTE
    assert peak - before < 10 * MEGABYTE
    spool.let_go(array)
    assert resident() - before < 5 * MEGABYTE
    assert array[1, 250_000] == 200_000.0
    assert array[0, -1] == 11_900_000.0


@linux
def test_what_is_done_to_whole_clips_needs_no_memory_for_them() -> None:
    before = resident()
    peak = 0

    def pieces():
        nonlocal peak
        for _ in range(FRAMES // SEGMENT_FRAMES + 1):
            yield np.full((2, SEGMENT_FRAMES), 0.5, dtype=np.float32)
            peak = max(peak, resident())

    samples = join_to_length(pieces(), 2, FRAMES)
    normalise_peak(samples, 0.8)
    scale(samples, 0.5)
    fade_out(samples, 1000)
    assert max(peak, resident()) - before < 16 * MEGABYTE
    assert samples[1, FRAMES // 2] == pytest.approx(0.4)
    assert samples[0, -1] == 0.0


def test_a_short_array_lies_in_memory() -> None:
    array = spool.zeros(2, 1000)
    spool.let_go(array)
    assert array.base is None
    assert not array.any()


def test_without_room_on_the_disk_it_lies_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    array = spool.zeros(2, FRAMES)
    array[0, 5] = 1.0
    spool.let_go(array)
    assert array[0, 5] == 1.0
