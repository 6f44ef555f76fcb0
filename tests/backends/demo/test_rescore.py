"""The score of a track that goes on from another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.rescore import looped, rescored, turn, turn_sec
from lofi_daemon.backends.demo.score import LATENT_RATE, Score, decode, encode, latent_frames
from lofi_daemon.backends.tasks import Source, Task, TaskName

PROMPT = "piano, drums, 80 bpm, a minor"


def task(name: TaskName, span: tuple[float, float], seconds: float) -> Task:
    return Task(name, Source(Path("x"), "0" * 64, seconds), span)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("seconds", "to"), [(5.0, 12.0), (30.0, 60.0), (90.0, 240.0)])
def test_an_extension_keeps_the_piece_and_its_ending(seed: int, seconds: float, to: float) -> None:
    score = compose(PROMPT, seed, seconds)
    join = turn_sec(score)
    longer = rescored(score, task("extend", (join, to), seconds), PROMPT, seed + 1)
    kept = turn(score)
    assert longer.bars[:kept] == score.bars[:kept]
    assert (longer.bar_frames, longer.attributes) == (score.bar_frames, score.attributes)
    assert len(longer.bars) == len(compose(PROMPT, seed, to).bars) or seconds == 5.0
    assert len(longer.bars) * longer.bar_frames >= latent_frames(to) - longer.bar_frames // 2
    assert longer.bars[-1] == score.bars[-1]
    assert decode(encode(longer)) == longer


def test_the_progression_goes_on_in_step() -> None:
    score = compose(PROMPT, 3, 60.0)
    longer = rescored(score, task("extend", (turn_sec(score), 120.0), 60.0), PROMPT, 4)
    at = turn(score)
    for index in range(at, at + 12):
        assert longer.bars[index] == longer.bars[index - at // 4 * 4 if at < 32 else index - 32]


def test_what_comes_before_is_whole_bars_that_lead_to_the_first_one() -> None:
    score = compose(PROMPT, 5, 30.0)
    offset = 6 * score.bar_frames / LATENT_RATE
    longer = rescored(score, task("extend", (-offset, 0.1), 30.0), PROMPT, 6)
    assert longer.bars[6:] == score.bars
    assert longer.bars[0].section == score.bars[0].section
    body = [bar for bar in score.bars[: turn(score)] if bar.section != "intro"]
    assert set(longer.bars[3:6]) <= set(body)


def test_a_part_anew_follows_other_words_and_keeps_its_chords() -> None:
    score = compose("piano, drums", 5, 60.0)
    sec = score.bar_frames / LATENT_RATE
    new = rescored(score, task("repaint", (4 * sec, 8 * sec), 60.0), "flute, no drums", 7)
    assert new.attributes["lead"] == "flute"
    assert {**new.attributes, "lead": ""} == {**score.attributes, "lead": ""}
    for index, (before, after) in enumerate(zip(score.bars, new.bars, strict=True)):
        assert after.chords == before.chords
        if 4 <= index < 8:
            assert "melody" in after.parts
            assert not {"drums", "hats"} & after.parts
        else:
            assert after == before


def test_the_same_words_change_nothing_but_the_notes() -> None:
    score = compose("piano, drums", 5, 30.0)
    span = task("repaint", (5.0, 15.0), 30.0)
    assert rescored(score, span, "piano, drums", 7).attributes == score.attributes
    noted = with_notes(score, 5)
    anew = rescored(noted, span, "piano, drums", 7)
    assert anew != noted
    assert all(bar.notes is not None for bar in anew.bars)
    assert rescored(noted, span, "piano, drums", 7) == anew


def test_something_of_the_shortest_piece_stays() -> None:
    score: Score = compose("piano", 1, 5.0)
    assert turn(score) >= 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("seconds", [5.0, 30.0, 200.0])
def test_a_flow_is_a_piece_of_its_own_in_the_sources_tempo_and_key(
    seed: int, seconds: float
) -> None:
    score = compose("piano, drums", seed, 30.0)
    bar_sec = score.bar_frames / LATENT_RATE
    lead = min(4, turn(score))
    asked = task("flow", (turn_sec(score), turn_sec(score) + seconds), 30.0)
    asked = replace(asked, lead_sec=lead * bar_sec)
    flow = rescored(score, asked, "flute, 95 bpm, e major", seed + 1)
    assert flow.bars[:lead] == score.bars[turn(score) - lead : turn(score)]
    new = replace(flow, bars=flow.bars[lead:])
    assert new.bar_frames == score.bar_frames
    assert new.bars[-1].chords == score.bars[-1].chords
    assert (new.bars[-1].section, new.attributes["lead"]) == ("ending", "flute")
    assert {**new.attributes, "lead": ""} == {**score.attributes, "lead": ""}
    assert "intro" not in {bar.section for bar in new.bars}
    frames = len(new.bars) * new.bar_frames
    assert latent_frames(seconds) <= frames < latent_frames(seconds) + new.bar_frames + 1
    if seconds > 20:  # the next one goes on after whole progressions
        assert turn(new) % 4 == 0


def test_what_goes_on_from_a_loop_keeps_its_progression() -> None:
    loop = looped(compose("piano, drums", 3, 30.0), 8, 2)
    bar_sec = loop.bar_frames / LATENT_RATE
    asked = replace(task("flow", (8 * bar_sec, 8 * bar_sec + 20.0), 30.0), lead_sec=4 * bar_sec)
    flow = rescored(loop, asked, "flute", 4)
    assert flow.bars[4:12] == loop.bars[:8]
