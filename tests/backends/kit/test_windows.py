"""Windows cover the axis, their kept spans tile it, their blend weights sum to one."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.backends.kit.windows import (
    Window,
    blend_weights,
    growing_windows,
    kept_spans,
    snug_windows,
    windows,
)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(st.integers(4, 64))
    overlap = draw(st.integers(0, size // 2))
    return draw(st.integers(1, 400)), size, overlap


@given(layouts())
def test_windows_cover_the_axis_with_at_least_the_overlap(layout: tuple[int, int, int]) -> None:
    length, size, overlap = layout
    parts = windows(length, size, overlap)
    assert parts[0].start == 0
    assert parts[-1].stop == length
    for left, right in itertools.pairwise(parts):
        assert left.start < right.start
        assert left.stop - right.start >= overlap
    if length > size:
        assert all(part.stop - part.start == size for part in parts)


@given(layouts())
def test_kept_spans_tile_the_axis(layout: tuple[int, int, int]) -> None:
    length, size, overlap = layout
    parts = windows(length, size, overlap)
    spans = kept_spans(parts)
    assert spans[0].start == 0
    assert spans[-1].stop == length
    assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
    for span, part in zip(spans, parts, strict=True):
        assert part.start <= span.start < span.stop <= part.stop
        assert span.start == 0 or span.start - part.start >= overlap // 2


@given(layouts())
def test_blend_weights_sum_to_one(layout: tuple[int, int, int]) -> None:
    length, size, _ = layout
    parts = windows(length, size, size // 4)
    total = np.zeros(length)
    for index, part in enumerate(parts):
        total[part.start : part.stop] += blend_weights(index, parts, size // 4)
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


def test_a_short_axis_is_one_window() -> None:
    assert windows(10, 128, 32) == [Window(0, 10)]


@given(layouts())
def test_snug_windows_are_as_few_and_no_longer_than_needed(layout: tuple[int, int, int]) -> None:
    length, most, overlap = layout
    parts = snug_windows(length, most, overlap)
    assert (parts[0].start, parts[-1].stop) == (0, length)
    assert len(parts) == len(windows(length, most, overlap))
    sizes = {part.stop - part.start for part in parts}
    assert len(sizes) == 1
    assert max(sizes) <= max(most, 1)
    for left, right in itertools.pairwise(parts):
        assert left.stop - right.start >= overlap
    twice = sum(left.stop - right.start for left, right in itertools.pairwise(parts))
    assert twice < (len(parts) - 1) * overlap + len(parts)


@given(st.integers(1, 3000), st.integers(2, 100), st.integers(1, 4), st.integers(0, 40))
def test_growing_windows_begin_small_and_double(
    length: int, first: int, doublings: int, reach: int
) -> None:
    most = first * 2**doublings - 1
    parts = growing_windows(length, first, most, 2 * reach)
    spans = kept_spans(parts, after=reach)
    kept = [span.stop - span.start for span in spans]
    assert spans[0].start == 0
    assert spans[-1].stop == length
    assert sum(kept) == length
    for before, after in itertools.pairwise(parts):
        assert before.stop - after.start == 2 * reach
    if len(parts) > 1:
        assert kept[0] == first
    for before, after in itertools.pairwise(kept[:-1]):
        assert after == min(2 * before, most)
    assert max(kept, default=0) <= most + first + reach
