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


@pytest.mark.parametrize(("latest", "bars", "lead"), [(9.9, 8, 4), (2.5, 2, 2), (0.1, 1, 1)])
def test_a_flow_goes_on_from_a_bar_line_and_hears_four_bars(
    latest: float, bars: int, lead: int
) -> None:
    once = joined(task("flow", (latest, latest + 12.0)), 9.9, 0.1, RATE, 30)
    assert once.span is not None
    assert (once.span[0], once.lead_sec) == (bars * 30 / RATE, lead * 30 / RATE)
    assert once.duration_sec == 12.0
    assert joined(once, 9.9, 0.1, RATE, 30) == once


def test_where_no_bars_are_known_a_flow_hears_ten_seconds_from_a_latent_frame_on() -> None:
    once = joined(Task("flow", Source(Path("x"), "0" * 64, 30.0), (40.0, 52.0)), 29.93, 0.1, RATE)
    assert once.span == (29.92, pytest.approx(41.92))
    assert once.lead_sec == 10.0
    assert once.offset_sec == pytest.approx(-19.92)
    assert once.window_sec == (10.0, 22.0)


def test_a_flow_is_cut_where_its_source_is_left() -> None:
    rate = 44100 / 4096
    once = joined(task("flow", (9.0, 20.0)), 9.9, 0.1, rate, 30)
    assert once.span is not None
    splice = splice_of(once, 11.0, 48000, 0.05)
    left = round(once.span[0] * 48000)
    # the sample that the player would have played next is the first of the new track
    assert splice.begin - splice.offset == left
    assert (splice.start - splice.begin, splice.ramp) == (480, 480)
    assert splice.stop - splice.begin == 11 * 48000
    assert splice.share(splice.begin - 1, 3)[0] == 1.0
    assert splice.share(splice.start, 1)[0] == 0.0
