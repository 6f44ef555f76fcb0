"""Decks that play what is still being written: waiting on a ramp, leaving on a ramp, going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.player.decks import Deck, Decks
from lofi_daemon.player.reports import Ended, Started, Stopped
from lofi_daemon.player.source import TrackSource
from lofi_daemon.sound.growing import as_bytes
from lofi_daemon.sound.growth import Growth
from tests.player.signals import Signal, music, write

RATE = 44100
RAMP = round(0.015 * RATE)
AS_16_BITS = 4e-5


class Growing:
    """A track that is written as far as the test wants, and the deck that plays it."""

    def __init__(self, path: Path, sound: Signal, entry: int = 1) -> None:
        self.sound, self.path, self.there = sound, path, 0
        path.touch()
        self.growth = Growth(RATE, 2, len(sound))
        self.source = TrackSource(path, RATE, growth=self.growth)
        self.deck = Deck(entry, self.source)

    def grow(self, seconds: float) -> None:
        stop = min(len(self.sound), self.there + round(seconds * RATE))
        with self.path.open("ab") as file:
            file.write(as_bytes(self.sound[self.there : stop].T))
        self.there = stop
        self.source.fill(1 << 30)


def render(decks: Decks, seconds: float, block: int = 882) -> Signal:
    frames = round(seconds * RATE)
    return np.concatenate(
        [decks.render(min(block, frames - start)) for start in range(0, frames, block)]
    )


def table(crossfade_sec: float = 0.0) -> Decks:
    return Decks(RATE, volume=1.0, crossfade_sec=crossfade_sec)


def steepest(rendered: Signal) -> float:
    return float(np.abs(np.diff(rendered, axis=0)).max())


def test_a_track_that_grows_in_time_is_heard_without_a_gap(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(6.0))
    track.grow(1.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    parts: list[Signal] = []
    for _ in range(6):
        parts.append(render(decks, 0.9))
        track.grow(1.0)
    parts.append(render(decks, 0.7))
    heard = np.concatenate(parts)
    np.testing.assert_allclose(heard[: len(track.sound)], track.sound, atol=AS_16_BITS)
    assert decks.underruns == 0
    assert list(decks.reports) == [Started(1, 0.0, 6.0), Ended(1, "finished"), Stopped()]


@pytest.mark.parametrize("block", [64, 441, 882, 4096])
def test_a_track_that_runs_dry_waits_on_a_ramp_and_loses_nothing(
    tmp_path: Path, block: int
) -> None:
    time = np.arange(6 * RATE)[:, None] / RATE
    sound = np.repeat(0.5 * np.cos(2 * np.pi * 50 * time), 2, axis=1).astype(np.float32)
    track = Growing(tmp_path / "a", sound)
    track.grow(1.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    before = render(decks, 2.0, block)
    assert decks.underruns == 1
    track.grow(1.9)  # not enough to go on with
    assert not render(decks, 0.5, block).any()
    track.grow(1.0)
    after = render(decks, 1.0, block)
    assert decks.underruns == 1
    assert decks.playing is not None
    heard = np.flatnonzero(before.any(axis=1))[-1] + 1
    assert RATE - block - 2 * RAMP <= heard <= RATE
    assert steepest(np.concatenate([before, after])) < 1.2 * steepest(sound) + 0.5 / RAMP * 1.6
    # what was not heard before the gap comes after it
    consumed = decks.playing.source.position - len(after)
    np.testing.assert_allclose(
        after[RAMP:], sound[consumed + RAMP : consumed + len(after)], atol=AS_16_BITS
    )
    assert heard <= consumed + 1 <= heard + 2


def test_the_last_stretch_is_not_waited_for_longer_than_it_is(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(2.0))
    track.grow(1.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    render(decks, 1.5)
    track.grow(1.0)
    rest = render(decks, 1.2)
    assert rest.any()
    assert decks.underruns == 1
    assert list(decks.reports)[1:] == [Ended(1, "finished"), Stopped()]


def test_each_gap_is_one_underrun(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(9.0))
    track.grow(1.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    for gap in range(1, 4):
        render(decks, 2.5)
        assert decks.underruns == gap
        track.grow(2.1)


def test_the_fade_into_the_next_track_is_that_of_the_known_length(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(4.0, seed=1))
    track.grow(3.0)
    following = music(2.0, seed=2)
    decks = table(crossfade_sec=0.4)
    decks.play(track.deck, crossfade=True)
    source = TrackSource(write(tmp_path / "b.wav", following), RATE)
    source.fill(1 << 30)
    decks.set_next(Deck(2, source))
    first = render(decks, 2.5)
    track.grow(1.0)
    heard = np.concatenate([first, render(decks, 2.0)])
    after = 4 * RATE
    np.testing.assert_allclose(
        heard[after : after + 9000], following[round(0.4 * RATE) :][:9000], atol=1e-4
    )


def test_a_track_that_will_never_be_whole_leaves_on_a_ramp(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(6.0))
    track.grow(3.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    render(decks, 1.0)
    decks.leave(1, "cancelled", None)
    leaving = render(decks, 0.25)
    assert leaving[: RAMP // 2].any()
    assert not leaving[RAMP + 1 :].any()
    assert list(decks.reports)[1:] == [Ended(1, "cancelled"), Stopped()]


def test_the_next_track_follows_one_that_failed(tmp_path: Path) -> None:
    track, following = Growing(tmp_path / "a", music(6.0)), music(1.0, seed=2)
    track.grow(3.0)
    source = TrackSource(write(tmp_path / "b.wav", following), RATE)
    source.fill(1 << 30)
    decks = table()
    decks.play(track.deck, crossfade=True)
    decks.set_next(Deck(2, source))
    render(decks, 1.0)
    decks.leave(1, "error", "no memory")
    heard = render(decks, 0.5)
    np.testing.assert_array_equal(heard[RAMP + 1 :], following[RAMP + 1 : len(heard)])
    assert list(decks.reports)[1:] == [Ended(1, "error", "no memory"), Started(2, 0.0, 1.0)]


def test_one_that_was_to_come_next_and_failed_is_not_waited_for(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(2.0), entry=2)
    track.grow(1.0)
    source = TrackSource(write(tmp_path / "b.wav", music(0.5)), RATE)
    source.fill(1 << 30)
    decks = table()
    decks.play(Deck(1, source), crossfade=True)
    decks.set_next(track.deck)
    decks.leave(2, "cancelled", None)
    assert decks.next is None
    assert track.source in decks.retired
    assert list(decks.reports) == [Started(1, 0.0, 0.5)]


def test_once_whole_another_reading_is_of_the_finished_file(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(3.0))
    track.grow(3.0)
    decks = table()
    decks.play(track.deck, crossfade=True)
    assert decks.settle(1, tmp_path / "b.wav", 0.7) is track.deck
    assert decks.settle(9, tmp_path / "b.wav", 0.7) is None
    assert (track.source.path, track.source.growth) == (tmp_path / "b.wav", None)
    again = track.deck.over(track.source)
    assert (again.entry, again.gain) == (1, 0.7)
    heard = render(decks, 1.0)
    np.testing.assert_allclose(heard, track.sound[:RATE], atol=AS_16_BITS)


def test_a_source_knows_whether_something_is_still_to_come(tmp_path: Path) -> None:
    track = Growing(tmp_path / "a", music(3.0))
    track.grow(2.0)
    assert not track.source.is_whole
    assert not track.source.decoded_to_its_end
    late = TrackSource(track.path, RATE, 2.5, track.growth)
    assert late.position == RATE  # a second before the end of what is there
    track.grow(1.0)
    assert track.source.is_whole
    assert track.source.decoded_to_its_end
