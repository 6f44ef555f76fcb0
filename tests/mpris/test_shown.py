"""What the desktop sees of a table, without any bus."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lofi_daemon.mpris.shown import NO_TRACK, Shown, loop_of, seeked, shown
from lofi_daemon.player.reports import Position, Started, Stopped
from lofi_daemon.player.table import Adjust, Pause, Put, Resume, Seek, Step, Table, after
from lofi_daemon.player.turn import Turn

TURN = Turn(7, Path("/rain.wav"), 1.0)


def table(*steps: tuple[float, Step]) -> Table:
    now = Table()
    for moment, step in ((0.0, Put(TURN)), (0.0, Started(7, 0.0, 60.0)), *steps):
        now, _ = after(now, step, moment)
    return now


def moment(now: float, *steps: tuple[float, Step]) -> Shown:
    return shown(table(*steps), "off", "rain", now)


def test_microseconds_are_counted_on_while_it_plays_and_not_beyond_the_end() -> None:
    playing = moment(2.0)
    assert (playing.status, playing.track, playing.position_usec) == (
        "Playing", "/nvim/lofi/turn/7", 2_000_000
    )  # fmt: skip
    assert playing.position(3.5) == 3_500_000
    assert playing.position(100.0) == playing.length_usec == 60_000_000
    paused = moment(9.0, (4.0, Pause()))
    assert (paused.status, paused.position(20.0)) == ("Paused", 4_000_000)


def test_a_title_is_text_that_a_bus_takes() -> None:
    title = shown(table(), "off", "rain\0\udcff\x1b[2J", 1.0).title
    assert title == "rain\\x00\\xff\\x1b[2J"


def test_where_nothing_plays_there_is_no_track_and_the_way_back_stays() -> None:
    silent = moment(9.0, (8.0, Stopped()))
    assert (silent.status, silent.track, silent.plays) == ("Stopped", NO_TRACK, False)
    assert silent.can_go_previous
    assert not shown(Table(), "off", "", 0.0).can_go_previous


def test_muted_is_a_volume_of_nothing() -> None:
    assert moment(1.0, (0.5, Adjust(muted=True))).volume == 0.0
    assert moment(1.0, (0.5, Adjust(volume=0.8))).volume == 0.8


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(3.0, Seek(30.0))], True),
        ([(3.0, Seek(0.0))], True),
        ([(3.0, Position(7, 3.05, 0))], False),
        ([(3.0, Pause())], False),
        ([(3.0, Pause()), (3.5, Seek(40.0))], True),
        ([(2.2, Pause()), (3.5, Resume())], False),
    ],
)
def test_a_seek_is_what_a_listener_would_not_count_to(
    steps: list[tuple[float, Step]], told: bool
) -> None:
    seen = [moment(2.0)]
    for count, (now, _) in enumerate(steps, start=1):
        seen.append(moment(now, *steps[:count]))
    assert any(seeked(*pair) for pair in pairwise(seen)) is told


def test_another_track_is_no_seek() -> None:
    other = replace(moment(4.0), track="/nvim/lofi/turn/8", position_usec=0)
    assert not seeked(moment(2.0), other)


def test_words_for_what_is_repeated() -> None:
    assert [loop_of(word) for word in ("None", "Track", "Playlist", "track")] == [
        "off", "track", "playlist", None
    ]  # fmt: skip
