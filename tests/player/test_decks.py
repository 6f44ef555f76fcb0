"""What the decks render, sample by sample, for blocks of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.decks import Deck, Decks
from lofi_daemon.player.join import Join
from lofi_daemon.player.reports import Ended, Started, Stopped
from lofi_daemon.player.source import TrackSource
from tests.player.signals import Signal, find, music, signal_to_error_db, write

RATE = 44100


def deck(path: Path, entry: int = 1, gain: float = 1.0) -> Deck:
    source = TrackSource(path, RATE)
    source.fill(1 << 30)
    return Deck(entry, source, gain)


def table(crossfade_sec: float = 0.0, volume: float = 1.0) -> Decks:
    return Decks(RATE, volume=volume, crossfade_sec=crossfade_sec)


def render(decks: Decks, frames: int, block: int = 882) -> Signal:
    blocks = [decks.render(min(block, frames - start)) for start in range(0, frames, block)]
    return np.concatenate(blocks)


@pytest.mark.parametrize("block", [1, 441, 882, 4096])
def test_a_track_comes_out_as_it_is_and_silence_after_it(tmp_path: Path, block: int) -> None:
    sound = music(0.1)
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", sound)), crossfade=True)
    rendered = render(decks, len(sound) + 100, block)
    np.testing.assert_array_equal(rendered[: len(sound)], sound)
    assert not rendered[len(sound) :].any()
    assert list(decks.reports) == [Started(1, 0.0, 0.1), Ended(1, "finished"), Stopped()]


@pytest.mark.parametrize("block", [441, 882, 1000])
def test_gapless_is_sample_exact(tmp_path: Path, block: int) -> None:
    first, second = music(0.31, seed=1), music(0.27, seed=2)
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2))
    both = np.concatenate([first, second])
    np.testing.assert_array_equal(render(decks, len(both), block), both)


@pytest.mark.parametrize("block", [441, 882, 1000])
def test_a_crossfade_is_the_mix_on_paper(tmp_path: Path, block: int) -> None:
    first, second = music(2.0, seed=1), music(2.0, seed=2)
    decks = table(crossfade_sec=0.25)
    decks.play(deck(write(tmp_path / "a.wav", first), gain=0.5), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2, gain=0.8))
    fade = RATE // 4
    expected = np.zeros((len(first) + len(second) - fade, 2))
    angle = np.arange(fade)[:, None] / fade * np.pi / 2
    expected[: len(first)] += 0.5 * first
    expected[len(first) - fade : len(first)] *= np.cos(angle)
    coming = 0.8 * second.astype(np.float64)
    coming[:fade] *= np.sin(angle)
    expected[len(first) - fade :] += coming
    rendered = render(decks, len(expected), block)
    assert signal_to_error_db(rendered, expected.astype(np.float32)) > 100


@pytest.mark.parametrize("block", [441, 1000])
def test_a_track_that_wraps_goes_on_sample_by_sample_whatever_the_crossfade(
    tmp_path: Path, block: int
) -> None:
    sound = music(0.9)
    path = write(tmp_path / "a.wav", sound)
    decks = table(crossfade_sec=0.2)
    decks.play(deck(path), crossfade=True)
    again = deck(path, 2)
    again.join = Join(1)
    decks.set_next(again)
    both = np.concatenate([sound, sound])
    np.testing.assert_array_equal(render(decks, len(both), block), both)


@pytest.mark.parametrize("block", [1, 441, 1000])
def test_a_track_joins_another_one_where_that_is_left(tmp_path: Path, block: int) -> None:
    first, second = music(0.9, seed=1), music(0.5, seed=2)
    left = 12345
    decks = table(crossfade_sec=0.2)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    following = deck(write(tmp_path / "b.wav", second), 2)
    following.join = Join(1, left / RATE)
    decks.set_next(following)
    both = np.concatenate([first[:left], second])
    np.testing.assert_array_equal(render(decks, len(both), block), both)
    assert list(decks.reports)[1:3] == [Ended(1, "finished"), Started(2, 0.0, 0.5)]


def test_what_comes_too_late_to_join_crosses_over_at_the_end(tmp_path: Path) -> None:
    first, second = music(2.0, seed=1), music(2.0, seed=2)
    decks = table(crossfade_sec=0.4)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    render(decks, RATE)
    following = deck(write(tmp_path / "b.wav", second), 2)
    following.join, following.in_music = Join(1, 0.9), True
    decks.set_next(following)
    fade = round(0.4 * RATE)
    rendered = render(decks, RATE + 1000)
    np.testing.assert_array_equal(rendered[: RATE - fade], first[RATE : 2 * RATE - fade])
    np.testing.assert_array_equal(rendered[RATE:], second[fade : fade + 1000])


def test_only_the_turn_that_it_goes_on_from_is_left_early(tmp_path: Path) -> None:
    first, second, other = (music(1.0, seed=seed) for seed in (1, 2, 3))
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    following = deck(write(tmp_path / "b.wav", second), 2)
    following.join = Join(1, 0.5)
    decks.set_next(following)
    decks.play(deck(write(tmp_path / "c.wav", other), 3), crossfade=False)
    rendered = render(decks, len(other) + 500)
    ramp = round(0.015 * RATE)
    np.testing.assert_array_equal(rendered[ramp : len(other)], other[ramp:])
    np.testing.assert_array_equal(rendered[len(other) :], second[:500])


def test_who_skips_to_it_does_not_wait_for_the_join(tmp_path: Path) -> None:
    first, second = music(2.0, seed=1), music(2.0, seed=2)
    decks = table(crossfade_sec=0.25)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    following = deck(write(tmp_path / "b.wav", second), 2)
    following.join = Join(1, 1.5)
    decks.set_next(following)
    render(decks, 4410)
    decks.skip()
    fade = RATE // 4
    rendered = render(decks, fade + 500)
    angle = np.arange(fade)[:, None] / fade * np.pi / 2
    expected = first[4410 : 4410 + fade] * np.cos(angle) + second[:fade] * np.sin(angle)
    assert signal_to_error_db(rendered[:fade], expected.astype(np.float32)) > 100
    np.testing.assert_array_equal(rendered[fade:], second[fade : fade + 500])


def test_the_level_goes_on_over_a_join_and_then_to_the_tracks_own(tmp_path: Path) -> None:
    first, second = music(1.0, seed=1), music(12.0, seed=2)
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", first), gain=0.5), crossfade=True)
    following = deck(write(tmp_path / "b.wav", second), 2, gain=0.8)
    following.join = Join(1, 0.5)
    decks.set_next(following)
    rendered = render(decks, RATE // 2 + len(second))[RATE // 2 :]
    np.testing.assert_allclose(rendered[:100], 0.5 * second[:100], rtol=1e-5)
    late = 8 * RATE
    np.testing.assert_allclose(rendered[late:], np.float32(0.8) * second[late:], rtol=1e-5)
    gains = np.abs(rendered[:late]).sum(axis=1) / np.maximum(
        np.abs(second[:late]).sum(axis=1), 1e-9
    )
    assert (np.diff(gains[:: RATE // 2]) > 0).all()


def test_what_begins_in_music_comes_in_on_a_ramp_where_it_joins_nothing(tmp_path: Path) -> None:
    sound = music(1.0)
    path = write(tmp_path / "a.wav", sound)
    ramp = round(0.015 * RATE)
    alone = table()
    alone.play(_in_music(deck(path)), crossfade=True)
    after = table()
    after.play(deck(path), crossfade=True)
    after.set_next(_in_music(deck(path, 2)))
    render(after, len(sound))
    for decks in (alone, after):
        rendered = render(decks, 2000)
        np.testing.assert_array_equal(rendered[0], 0.0)
        assert 0 < np.abs(rendered[1 : ramp // 2]).max() < np.abs(sound[1 : ramp // 2]).max()
        np.testing.assert_array_equal(rendered[ramp:], sound[ramp:2000])


def _in_music(deck: Deck) -> Deck:
    deck.in_music = True
    return deck


def test_a_short_track_shortens_the_crossfade_to_its_quarter(tmp_path: Path) -> None:
    first, second = music(2.0, seed=1), music(0.4, seed=2)
    decks = table(crossfade_sec=1.0)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2))
    fade = len(second) // 4
    rendered = render(decks, len(first) + len(second) - fade)
    np.testing.assert_array_equal(rendered[: len(first) - fade], first[:-fade])
    np.testing.assert_array_equal(rendered[len(first) :], second[fade:])


def test_a_next_track_that_comes_late_still_crosses_over(tmp_path: Path) -> None:
    first, second = music(2.0, seed=1), music(2.0, seed=2)
    decks = table(crossfade_sec=0.4)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    late = len(first) - RATE // 5
    render(decks, late)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2))
    rest = render(decks, RATE // 5 + 1000)
    np.testing.assert_array_equal(rest[RATE // 5 :], second[RATE // 5 :][:1000])


def test_pause_freezes_and_resume_loses_no_sample(tmp_path: Path) -> None:
    sound = music(1.0)
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", sound)), crossfade=True)
    before = render(decks, 8820)
    decks.pause()
    paused = render(decks, 4410)
    ramp = round(0.015 * RATE)
    assert not paused[882 + ramp :].any()
    at = decks.playing.source.position if decks.playing else 0
    decks.resume()
    after = render(decks, 8820)
    np.testing.assert_array_equal(before, sound[:8820])
    assert at == 8820 + ramp
    np.testing.assert_array_equal(after[ramp:], sound[at + ramp : at + 8820])


def test_skip_fades_what_plays_into_what_is_next(tmp_path: Path) -> None:
    first, second = music(3.0, seed=1), music(3.0, seed=2)
    decks = table(crossfade_sec=0.5)
    decks.play(deck(write(tmp_path / "a.wav", first)), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2))
    render(decks, 44100)
    decks.skip()
    fade = RATE // 2
    rendered = render(decks, fade + 1000)
    angle = np.arange(fade)[:, None] / fade * np.pi / 2
    expected = first[44100 : 44100 + fade] * np.cos(angle) + second[:fade] * np.sin(angle)
    assert signal_to_error_db(rendered[:fade], expected.astype(np.float32)) > 100
    np.testing.assert_array_equal(rendered[fade:], second[fade : fade + 1000])
    assert Ended(1, "skipped") in decks.reports


def test_skip_at_the_end_of_everything_fades_out(tmp_path: Path) -> None:
    decks = table(crossfade_sec=0.1)
    decks.play(deck(write(tmp_path / "a.wav", music(1.0))), crossfade=True)
    render(decks, 8820)
    decks.skip()
    rendered = render(decks, 8820)
    assert rendered[:4000].any()
    assert not rendered[4410:].any()
    assert list(decks.reports)[-2:] == [Ended(1, "skipped"), Stopped()]


def test_skips_in_a_row_never_jump(tmp_path: Path) -> None:
    decks = table(crossfade_sec=0.5)
    path = write(tmp_path / "a.wav", np.full((RATE * 4, 2), 0.2, np.float32))
    decks.play(deck(path), crossfade=True)
    pieces = [render(decks, 4410)]
    for entry in range(2, 8):
        decks.set_next(deck(path, entry))
        decks.skip()
        pieces.append(render(decks, 1323))
    steps = np.abs(np.diff(np.concatenate(pieces)[:, 0]))
    assert steps.max() < 2e-4  # 0.2 · π/2 ÷ 22050 for each of a few fades at once


def test_stop_is_silence_after_one_ramp(tmp_path: Path) -> None:
    decks = table(crossfade_sec=2.0)
    decks.play(deck(write(tmp_path / "a.wav", music(4.0))), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", music(4.0)), 2))
    render(decks, 8820)
    decks.skip()
    render(decks, 882)
    decks.stop()
    rendered = render(decks, 8820)
    assert not rendered[round(0.015 * RATE) + 1 :].any()
    assert decks.silent


def test_after_a_pause_another_track_starts_without_a_remnant_of_the_paused_one(
    tmp_path: Path,
) -> None:
    second = music(1.0, seed=2)
    decks = table(crossfade_sec=0.2)
    decks.play(deck(write(tmp_path / "a.wav", music(1.0, seed=1))), crossfade=True)
    render(decks, 8820)
    decks.pause()
    render(decks, 8820)
    decks.play(deck(write(tmp_path / "b.wav", second), 2), crossfade=True)
    np.testing.assert_array_equal(render(decks, 8820), second[:8820])


def test_seek_goes_on_elsewhere_within_one_ramp(tmp_path: Path) -> None:
    sound = music(3.0)
    path = write(tmp_path / "a.wav", sound)
    decks = table()
    decks.play(deck(path), crossfade=True)
    render(decks, 8820)
    source = TrackSource(path, RATE, position_sec=2.0)
    source.fill(1 << 30)
    decks.seek(Deck(1, source))
    ramp = round(0.015 * RATE)
    rendered = render(decks, 4410)
    np.testing.assert_array_equal(rendered[ramp:], sound[2 * RATE + ramp : 2 * RATE + 4410])


def test_mono_goes_to_both_sides(tmp_path: Path) -> None:
    sound = music(0.2)[:, :1]
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", sound)), crossfade=True)
    rendered = render(decks, len(sound))
    np.testing.assert_array_equal(rendered, np.repeat(sound, 2, axis=1))


@pytest.mark.parametrize("file_rate", [22050, 32000, 48000, 96000])
def test_other_rates_are_brought_to_the_devices(tmp_path: Path, file_rate: int) -> None:
    sound = music(1.0, file_rate)
    path = write(tmp_path / "a.wav", sound, file_rate)
    decks = table()
    decks.play(deck(path), crossfade=True)
    rendered = render(decks, RATE)
    expected = soxr.resample(sound, file_rate, RATE, quality="VHQ")[:RATE]
    assert find(rendered, expected[4410:-4410]) == 4410
    assert signal_to_error_db(rendered[: len(expected)], expected) > 80


def test_an_empty_buffer_is_counted_and_loses_nothing(tmp_path: Path) -> None:
    sound = music(0.5)
    source = TrackSource(write(tmp_path / "a.wav", sound), RATE)
    decks = table()
    decks.play(Deck(1, source), crossfade=True)
    assert not render(decks, 882).any()
    assert decks.underruns == 1
    source.fill(1 << 30)
    rendered, ramp = render(decks, len(sound)), round(0.015 * RATE)
    assert decks.underruns == 1
    np.testing.assert_array_equal(rendered[ramp:], sound[ramp:])
    assert (np.abs(rendered[:ramp]) <= np.abs(sound[:ramp])).all()


def test_a_file_cut_short_plays_to_where_it_ends_and_goes_on(tmp_path: Path) -> None:
    first, second = music(1.0, seed=1), music(0.5, seed=2)
    path = write(tmp_path / "a.wav", first)
    path.write_bytes(path.read_bytes()[: 4 * 2 * 22050])
    decks = table()
    decks.play(deck(path), crossfade=True)
    decks.set_next(deck(write(tmp_path / "b.wav", second), 2))
    rendered = render(decks, RATE)
    start = find(rendered, second)
    assert start < 22050
    np.testing.assert_array_equal(rendered[:start], first[:start])


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound" * 1000, None])
def test_what_is_no_sound_is_refused_with_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "track.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioPlaybackError, match=r"track\.wav") as failure:
        TrackSource(path, RATE)
    assert failure.value.hint


def test_another_devices_rate_goes_on_where_the_track_was(tmp_path: Path) -> None:
    sound = music(3.0)
    decks = table()
    decks.play(deck(write(tmp_path / "a.wav", sound)), crossfade=True)
    render(decks, RATE)

    def reopen(source: TrackSource, sample_rate: int, position_sec: float) -> TrackSource:
        again = TrackSource(source.path, sample_rate, position_sec)
        again.fill(1 << 30)
        return again

    other = Decks(48000, volume=1.0, crossfade_sec=0.0)
    other.take_over(decks, reopen)
    rendered = render(other, 24000)
    expected = soxr.resample(sound[RATE : RATE + 22050], RATE, 48000, quality="VHQ")
    assert signal_to_error_db(rendered[2000:-2000], expected[2000:-2000]) > 60
