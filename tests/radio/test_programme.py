"""The radio's decisions, alone and over days of a simulated clock."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.radio.programme import (
    KnownTrack,
    Make,
    Play,
    Programme,
    RadioState,
    Situation,
    Wait,
    derived_seed,
    next_to_make,
    next_to_play,
    prompt_at,
)
from tests.radio.simulation import DAY_SEC, simulate

PROGRAMME = Programme(("a", "b", "c"), seed=7)


def tracks(*heard: float | None) -> tuple[KnownTrack, ...]:
    return tuple(KnownTrack(f"t{i}", 30.0, moment) for i, moment in enumerate(heard))


def test_the_same_radio_seed_gives_the_same_programme() -> None:
    seeds = [derived_seed(7, number) for number in range(1000)]
    assert seeds == [derived_seed(7, number) for number in range(1000)]
    assert len({*seeds, *(derived_seed(8, number) for number in range(1000))}) == 2000
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_a_cycle_goes_round() -> None:
    assert [prompt_at(PROGRAMME, number) for number in range(7)] == list("abcabca")


@given(
    prompts=st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_shuffle_plays_every_prompt_once_a_round_and_none_twice_in_a_row(
    prompts: list[str], seed: int
) -> None:
    programme = Programme(tuple(prompts), seed, "shuffle")
    played = [prompt_at(programme, number) for number in range(6 * len(prompts))]
    for start in range(0, len(played), len(prompts)):
        assert sorted(played[start : start + len(prompts)]) == sorted(prompts)
    if len(prompts) > 1:
        assert all(one != other for one, other in itertools.pairwise(played))


def test_rounds_of_a_shuffle_differ() -> None:
    programme = Programme(tuple("abcdefgh"), 3, "shuffle")
    rounds = {"".join(prompt_at(programme, 8 * turn + i) for i in range(8)) for turn in range(10)}
    assert len(rounds) > 5


def test_a_new_track_comes_before_an_old_one() -> None:
    situation = Situation(PROGRAMME, ready=("t2",), library=tracks(1, 2, None), playing="t0")
    assert next_to_play(situation) == Play("t2", new=True)


def test_without_a_new_track_the_least_recently_heard_comes_again() -> None:
    situation = Situation(PROGRAMME, library=tracks(30, 10, 20), playing="t0", silent=False)
    assert next_to_play(situation) == Play("t1", new=False)
    assert next_to_play(replace(situation, playing="t1")) == Play("t2", new=False)
    never_heard = replace(situation, library=tracks(30, 10, None))
    assert next_to_play(never_heard) == Play("t2", new=False)


def test_the_only_track_is_not_played_twice_in_a_row() -> None:
    situation = Situation(PROGRAMME, library=tracks(1), playing="t0", silent=True)
    assert next_to_play(situation) == Wait()
    ready = replace(situation, ready=("t0",))
    assert next_to_play(ready) == Wait()


def test_silence_is_broken_when_the_music_can_go_on() -> None:
    one = Situation(PROGRAMME, library=tracks(None), ready=("t0",), making=True)
    assert next_to_play(replace(one, making_eta_sec=100.0)) == Wait()
    assert next_to_play(replace(one, making_eta_sec=19.0)) == Play("t0", new=True)
    assert next_to_play(replace(one, making_eta_sec=None)) == Play("t0", new=True)
    two = replace(one, library=tracks(None, 5), making_eta_sec=100.0)
    assert next_to_play(two) == Play("t0", new=True)


def test_as_many_tracks_are_made_as_should_be_ready_one_at_a_time() -> None:
    situation = Situation(PROGRAMME, made=4, library=tracks(1, 2, 3))
    assert next_to_make(situation, 0.0) == Make("b", derived_seed(7, 4))
    assert next_to_make(replace(situation, making=True), 0.0) is None
    assert next_to_make(replace(situation, ready=("t0", "t1")), 0.0) is None
    assert next_to_make(replace(situation, ready=("t0",)), 0.0) is not None
    assert next_to_make(replace(situation, fits=False), 0.0) is None
    assert next_to_make(replace(situation, retry_at=5.0), 4.9) is None


def test_an_empty_cache_is_filled_with_two_short_tracks_first() -> None:
    situation = Situation(PROGRAMME, filler=True)
    first = next_to_make(situation, 0.0)
    second = next_to_make(replace(situation, fillers_made=1, library=tracks(None)), 0.0)
    third = next_to_make(replace(situation, fillers_made=2, library=tracks(None, None)), 0.0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert [made.filler_sec for made in (first, second, third)] == [12.0, 28.0, None]
    assert len({first.seed, second.seed, third.seed}) == 3


def test_a_full_cache_needs_no_filler() -> None:
    made = next_to_make(Situation(PROGRAMME, filler=True, library=tracks(1, 2)), 0.0)
    assert made == Make("a", derived_seed(7, 0))


def test_failures_in_a_row_are_tried_again_later_and_later() -> None:
    state = RadioState(PROGRAMME)
    waits = []
    for _ in range(8):
        state.begun(Make("a", 1), "t")
        state.failed(1000.0)
        waits.append(state.retry_at - 1000.0)
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert state.made == 8
    state.finished("t9", filler=False)
    state.failed(1000.0)
    assert state.retry_at == 1002.0


@pytest.mark.parametrize("speed", [0.2, 0.5, 0.9, 1.1, 3.0, 20.0])
@pytest.mark.parametrize("filler", [False, True])
def test_half_a_day_of_radio_is_never_silent_and_never_repeats(speed: float, filler: bool) -> None:
    simulate(speed, filler=filler, duration_sec=DAY_SEC / 2).check()


def test_a_radio_with_one_prompt_a_full_cache_and_a_user_who_generates() -> None:
    result = simulate(0.7, filler=True, duration_sec=DAY_SEC / 2, user_every_sec=900.0)
    result.check()
    assert result.user_tracks > 30
    assert result.longest_user_wait_sec <= 90 / 0.7 + 1


@pytest.mark.soak
@pytest.mark.parametrize("speed", [0.2, 0.35, 0.6, 0.95, 1.05, 2.0, 6.0, 20.0])
@pytest.mark.parametrize("filler", [False, True])
def test_a_week_of_radio_is_never_silent_and_never_repeats(speed: float, filler: bool) -> None:
    result = simulate(speed, filler=filler, duration_sec=7 * DAY_SEC)
    result.check()
    print(f"speed {speed:g} filler {filler}: {result}")


def test_a_track_that_grows_is_ready_once() -> None:
    state = RadioState(Programme(("a",), 1))
    make = Make("a", 5)
    state.begun(make, "one")
    state.grows("one", filler=False)
    assert state.ready == ["one"]
    state.finished("one", filler=False)
    assert (state.ready, state.making) == (["one"], None)
    state.begun(make, "two")
    state.finished("two", filler=False)
    assert state.ready == ["one", "two"]


def test_a_track_that_was_heard_while_it_grew_is_not_ready_again() -> None:
    state = RadioState(Programme(("a",), 1))
    state.begun(Make("a", 5), "one")
    state.grows("one", filler=False)
    state.gone("one")  # it began to play
    state.finished("one", filler=False)
    assert state.ready == []


def test_a_track_that_grew_and_failed_is_not_waited_for() -> None:
    state = RadioState(Programme(("a",), 1))
    state.begun(Make("a", 5), "one")
    state.grows("one", filler=False)
    state.failed(10.0)
    assert (state.ready, state.making, state.growing) == ([], None, False)
    state.begun(Make("a", 5, filler_sec=12.0), "short")
    state.grows("short", filler=True)
    assert state.ready == []
