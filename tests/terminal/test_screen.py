"""The screen as text, at the widths that windows have."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from lofi_daemon.terminal.display import news
from lofi_daemon.terminal.screen import MakingView, View, clock, lines

PLAYING = View(
    heading="lofi radio · rainy night",
    state="playing",
    title="lofi hip hop, mellow rhodes chords, dusty boom bap drums, rain on the window",
    position_sec=30.0,
    duration_sec=120.0,
    volume=0.5,
    waveform=[point / 64 for point in range(64)],
    kept=True,
    ready=1,
    ahead=2,
    making=MakingView("slow lofi beat, soft felt piano, brushed snare", 40, "diffusing", 71.0),
    notice="The next new track comes in about 1:11; an older one meanwhile.",
)


def text(view: View, width: int) -> list[str]:
    return [line.plain for line in lines(view, width)]


@pytest.mark.parametrize("width", [0, 1, 8, 17, 24, 40, 76, 200])
def test_no_line_is_wider_than_the_window(width: int) -> None:
    for view in (PLAYING, View("lofi radio")):
        assert max(cell_len(line) for line in text(view, width)) <= width


def test_the_screen_says_what_plays_and_what_is_made() -> None:
    screen = text(PLAYING, 76)
    assert screen[0].startswith("lofi radio · rainy night")
    assert screen[0].endswith("1/2 ready")
    assert screen[2].startswith("▶ lofi hip hop")
    assert screen[2].endswith("… ♥")
    assert screen[4].startswith("0:30 / 2:00")
    assert screen[4].endswith("volume 50 %")
    assert any("making slow lofi beat" in line for line in screen)
    assert any("40 % diffusing, 1:11 left" in line for line in screen)
    assert screen[-1] == "space pause  n next  + − volume  k keep  q quit  p back  ← → seek  m mute"


def test_the_played_part_of_the_waveform_is_bright() -> None:
    waveform = lines(PLAYING, 76)[3]
    assert waveform.plain[0] == "▁"
    assert waveform.plain[-1] == "█"
    bright = [span for span in waveform.spans if span.style == "green"]
    assert sum(span.end - span.start for span in bright) == 19


def test_a_narrow_window_keeps_the_title_the_clock_and_whole_keys() -> None:
    screen = text(PLAYING, 24)
    assert screen[0] == "lofi radio · rainy night"
    assert screen[4] == "0:30 / 2:00  volume 50 %"
    assert screen[-1] == "space pause  n next"


def test_paused_and_waiting_are_shown() -> None:
    paused = View("h", state="paused", title="t", duration_sec=9, kept=False)
    assert text(paused, 60)[2].startswith("⏸ t")
    assert text(paused, 60)[-1].startswith("space go on")
    assert "waiting for music" in text(View("h"), 60)[2]


def test_a_clock_counts_in_minutes() -> None:
    assert [clock(seconds) for seconds in (0, 9.9, 60, 3599.2, -1)] == [
        "0:00", "0:09", "1:00", "59:59", "0:00"
    ]  # fmt: skip


def test_plain_lines_tell_only_what_is_new() -> None:
    later = View(**{**PLAYING.__dict__, "position_sec": 60.0, "notice": None})
    assert list(news(None, PLAYING)) == [
        PLAYING.heading,
        f"playing: {PLAYING.title} (2:00)",
        "making: slow lofi beat, soft felt piano, brushed snare",
        PLAYING.notice,
    ]
    assert list(news(PLAYING, later)) == []
    other = View(**{**PLAYING.__dict__, "title": "another"})
    assert list(news(PLAYING, other)) == ["playing: another (2:00)"]
