"""The planner: one seed is one piece, and the words of a prompt are heeded."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_daemon.backends.demo.plan import compose, lyric_tokens, read_wishes
from lofi_daemon.backends.demo.score import BAR_FRAMES, QUALITIES, Score, latent_frames

SEEDS = range(40)


def tempos(prompt: str) -> list[float]:
    return [compose(prompt, seed, 30).beats_per_minute for seed in SEEDS]


def parts(score: Score) -> set[str]:
    return {part for bar in score.bars for part in bar.parts}


def test_a_seed_is_the_same_piece_always() -> None:
    assert lyric_tokens("rainy night", 7, 60) == lyric_tokens("rainy night", 7, 60)


def test_a_seed_is_the_same_piece_in_another_process() -> None:
    code = (
        "from lofi_daemon.backends.demo.plan import lyric_tokens;"
        "print(lyric_tokens('rainy night', 7, 60))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == str(lyric_tokens("rainy night", 7, 60))


def test_seeds_are_different_pieces() -> None:
    pieces = {tuple(lyric_tokens("lofi", seed, 30)) for seed in SEEDS}
    assert len(pieces) == len(SEEDS)


def test_large_seeds_are_taken() -> None:
    assert lyric_tokens("lofi", 2**64 - 1, 30) != lyric_tokens("lofi", 2**64 - 2, 30)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.integers(0, 2**64 - 1), st.floats(5, 240))
def test_any_prompt_gives_a_score_that_covers_the_duration(
    prompt: str, seed: int, duration: float
) -> None:
    score = compose(prompt, seed, duration)
    assert score.bar_frames in BAR_FRAMES
    frames = len(score.bars) * score.bar_frames
    needed = latent_frames(duration)
    assert needed <= frames < needed + score.bar_frames + 1
    assert all(chord.quality in QUALITIES for bar in score.bars for chord in bar.chords)


@pytest.mark.parametrize(
    ("prompt", "asked", "played"),
    [
        ("lofi at 80 bpm", 80, 80),
        ("a 72bpm beat", 72, 72),
        ("90 beats per minute", 90, 90),
        ("160 bpm", 160, 80),
        ("40 bpm", 40, 80),
    ],
)
def test_a_tempo_in_numbers_is_met_within_two_per_cent(
    prompt: str, asked: int, played: int
) -> None:
    assert tempos(prompt) == [pytest.approx(played, rel=0.02)] * len(SEEDS)


def test_slow_and_fast_words_choose_the_tempo() -> None:
    assert max(tempos("sleepy lullaby")) < 73
    assert min(tempos("upbeat and energetic")) > 85
    assert 70 < min(tempos("music")) < max(tempos("music")) < 92


@pytest.mark.parametrize(
    "prompt",
    ["no drums", "lofi without any drums", "drumless piano", "beatless", "no bass or drums",
     "without percussion"],
)  # fmt: skip
def test_drums_can_be_left_out(prompt: str) -> None:
    for seed in SEEDS:
        assert not parts(compose(prompt, seed, 60)) & {"drums", "hats"}


def test_bass_and_melody_can_be_left_out() -> None:
    for seed in SEEDS:
        assert "bass" not in parts(compose("no bass", seed, 60))
        assert "melody" not in parts(compose("without melody", seed, 60))


def test_drums_play_where_nobody_forbids_them() -> None:
    assert all("drums" in parts(compose("drums please", seed, 30)) for seed in SEEDS)


def test_a_lead_that_is_asked_for_plays() -> None:
    assert all("melody" in parts(compose("saxophone solo", seed, 20)) for seed in SEEDS)


def test_sad_is_minor_and_happy_is_major() -> None:
    def final(prompt: str, seed: int) -> str:
        return compose(prompt, seed, 30).bars[-1].chords[0].quality

    assert {final("sad", seed) for seed in SEEDS} == {"m9"}
    assert {final("happy", seed) for seed in SEEDS} == {"maj9"}


def test_jazz_moves_twice_a_bar() -> None:
    changes = [
        any(bar.chords[0] != bar.chords[1] for bar in compose("jazzy", seed, 60).bars)
        for seed in SEEDS
    ]
    assert all(changes)


def test_all_twelve_keys_occur() -> None:
    roots = {compose("", seed, 30).bars[-1].chords[0].root for seed in range(120)}
    assert roots == set(range(12))


def test_a_long_track_has_a_form_and_an_ending() -> None:
    for seed in SEEDS:
        score = compose("lofi", seed, 240)
        sections = [bar.section for bar in score.bars]
        assert sections[0] == "intro"
        assert {"build", "groove", "break", "outro"} <= set(sections)
        assert re.fullmatch(r"(?:i+)(?:b|g|k)+o+e+", "".join(_letter(name) for name in sections))
        assert not {"drums", "melody"} & score.bars[-1].parts


def test_the_final_chord_has_half_a_bar_to_ring() -> None:
    for seed in SEEDS:
        for duration in (5, 17.3, 30, 61):
            score = compose("lofi", seed, duration)
            ending = next(i for i, bar in enumerate(score.bars) if bar.section == "ending")
            rings = latent_frames(duration) - ending * score.bar_frames
            assert rings >= score.bar_frames / 2 - 1


def test_a_break_brings_other_chords() -> None:
    for seed in SEEDS:
        bars = compose("lofi", seed, 240).bars
        groove = [bar.chords for bar in bars if bar.section == "groove"]
        pause = [bar.chords for bar in bars if bar.section == "break"]
        assert pause[:4] != groove[:4]


def test_unknown_words_say_nothing() -> None:
    wishes = read_wishes("qwerty zxcvb 12345")
    assert not wishes.moods
    assert not wishes.left_out
    assert wishes.beats_per_minute is None


def _letter(section: str) -> str:
    return "k" if section == "break" else section[0]
