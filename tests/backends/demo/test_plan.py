"""The planner: one seed is one piece, and the words of a prompt are heeded."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import BAR_FRAMES, QUALITIES, Score, encode, latent_frames

SEEDS = range(40)


def lyric_tokens(prompt: str, seed: int, seconds: float) -> list[int]:
    return encode(compose(prompt, seed, seconds))


def tempos(prompt: str) -> list[float]:
    return [compose(prompt, seed, 30).beats_per_minute for seed in SEEDS]


def parts(score: Score) -> set[str]:
    return {part for bar in score.bars for part in bar.parts}


def test_a_seed_is_the_same_piece_always() -> None:
    assert lyric_tokens("rainy night", 7, 60) == lyric_tokens("rainy night", 7, 60)


def test_a_seed_is_the_same_piece_in_another_process() -> None:
    code = (
        "from lofi_daemon.backends.demo.plan import compose;"
        "from lofi_daemon.backends.demo.score import encode;"
        "print(encode(compose('rainy night', 7, 60)))"
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


def test_slow_and_fast_words_choose_the_tempo() -> None:
    assert max(tempos("sleepy lullaby")) < 73
    assert min(tempos("upbeat and energetic")) > 85
    assert 70 < min(tempos("music")) < max(tempos("music")) < 92


def test_drums_play_where_nobody_forbids_them() -> None:
    assert all("drums" in parts(compose("drums please", seed, 30)) for seed in SEEDS)


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


@pytest.mark.parametrize("duration", [20, 30, 45, 60, 90, 240])
def test_the_beat_is_in_by_the_third_bar_and_mostly_stays(duration: float) -> None:
    for prompt in ("lofi", "slow sad piano", "dreamy saxophone", "fast jazzy"):
        for seed in SEEDS:
            bars = compose(prompt, seed, duration).bars
            drums = ["drums" in bar.parts for bar in bars]
            assert drums.index(True) <= 2
            assert sum(drums) / len(drums) >= (0.7 if duration >= 30 else 0.6)


def test_rain_and_crackle_are_off_unless_asked_for() -> None:
    for seed in SEEDS:
        attributes = compose("lofi beats to study to", seed, 30).attributes
        assert (attributes["rain"], attributes["vinyl"]) == ("no rain", "no vinyl")
        asked = compose("rain and vinyl crackle", seed, 30).attributes
        assert (asked["rain"], asked["vinyl"]) == ("rain", "vinyl")


def test_what_is_asked_for_stands_in_the_score_itself() -> None:
    for seed in SEEDS:
        attributes = compose("rhodes, brushes and a flute", seed, 30).attributes
        assert attributes["keys"] == "electric piano"
        assert attributes["kit"] == "brushes"
        assert attributes["lead"] == "flute"


def _letter(section: str) -> str:
    return "k" if section == "break" else section[0]
