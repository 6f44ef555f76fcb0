"""Where new music joins the music that it goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofi_daemon.backends.kit.editing import joined, material_of, splice_of
from lofi_daemon.backends.tasks import Source, Span, Task, TaskName
from lofi_daemon.errors import InvalidParams

RATE = 25.0


def task(name: TaskName, span: Span) -> Task:
    return Task(name, Source(Path("source.wav"), "0" * 64, 10.0), span)


def test_an_extension_takes_over_before_the_source_fades() -> None:
    assert joined(task("extend", (10.0, 20.0)), 8.5, 0.1, RATE).span == (8.5, 20.0)
    assert joined(task("extend", (7.0, 20.0)), 8.5, 0.1, RATE).span == (7.0, 20.0)
    assert joined(task("repaint", (9.0, 10.0)), 8.5, 0.1, RATE).span == (9.0, 10.0)


def test_music_before_the_source_is_whole_bars_and_joining_twice_is_joining_once() -> None:
    once = joined(task("extend", (-10.0, 0.0)), 8.5, 0.1, RATE, 30)
    assert once.span is not None
    assert (once.span[0] * RATE, once.span[1]) == (pytest.approx(-240), 0.1)
    assert joined(once, 8.5, 0.1, RATE, 30) == once
    for span in ((10.0, 20.0), (-2.51, 0.0)):
        once = joined(task("extend", span), 8.5, 0.1, RATE)
        assert joined(once, 8.5, 0.1, RATE) == once


def test_the_source_stays_where_it_lies() -> None:
    splice = splice_of(task("extend", (-2.0, 0.1)), 12.0, 48000, 0.025)
    assert (splice.offset, splice.start, splice.stop, splice.ramp) == (96000, 0, 100800, 1200)
    splice = splice_of(task("extend", (9.9, 15.0)), 14.5, 48000, 0.05)
    assert (splice.offset, splice.start, splice.stop, splice.ramp) == (0, 475200, 696000, 2400)


def test_what_was_not_kept_is_told() -> None:
    with pytest.raises(InvalidParams, match=r"source\.wav .* not beside it"):
        material_of(task("extend", (9.0, 12.0)))
