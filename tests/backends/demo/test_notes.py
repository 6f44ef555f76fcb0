"""The notes of a score: every part that plays has some, nobody else, and all can be written."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import (
    BASS_KEYS,
    HEADER_TOKENS,
    KICK,
    MELODY_KEYS,
    NOTED_TOKENS_PER_BAR,
    OPEN_HAT,
    SNARE,
    VOCABULARY_SIZE,
    Notes,
    Score,
    decode,
    encode,
    tokens_per_bar,
)

SEEDS = range(12)


def written(prompt: str, seed: int, seconds: float = 120) -> Score:
    return with_notes(compose(prompt, seed, seconds), seed)


def notes_of(score: Score) -> list[Notes]:
    return [bar.notes for bar in score.bars if bar.notes is not None]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_score_with_notes_survives_being_written_and_read(seed: int) -> None:
    score = written("saxophone", seed)
    tokens = encode(score)
    assert decode(tokens) == score
    assert tokens_per_bar(tokens) == NOTED_TOKENS_PER_BAR
    assert len(tokens) == HEADER_TOKENS + NOTED_TOKENS_PER_BAR * len(score.bars)
    assert all(0 < token < VOCABULARY_SIZE for token in tokens)


def test_notes_change_nothing_else_of_a_score() -> None:
    plain = compose("saxophone", 3, 60)
    noted = written("saxophone", 3, 60)
    for bar, other in zip(plain.bars, noted.bars, strict=True):
        assert (bar.section, bar.parts, bar.chords) == (other.section, other.parts, other.chords)


def test_a_seed_is_the_same_piece_always_and_another_is_another() -> None:
    assert written("flute", 5) == written("flute", 5)
    assert notes_of(with_notes(compose("flute", 5, 60), 5)) != notes_of(
        with_notes(compose("flute", 5, 60), 6)
    )


def test_only_who_plays_has_notes() -> None:
    for seed in SEEDS:
        for bar in written("saxophone", seed).bars:
            assert bar.notes is not None
            if "melody" not in bar.parts:
                assert not any(bar.notes.melody)
            assert any(bar.notes.bass) == ("bass" in bar.parts) or bar.section == "ending"
            hits = {bit for step in bar.notes.drums for bit in (1, 2, 4, 8) if step & bit}
            assert bool(hits & {KICK, SNARE}) == ("drums" in bar.parts)
            assert bool(hits - {KICK, SNARE}) <= ("hats" in bar.parts)


def test_notes_on_the_beat_are_chord_tones() -> None:
    for seed in SEEDS:
        for bar in written("flute", seed).bars:
            assert bar.notes is not None
            for eighth in (0, 2, 4, 6):
                key = bar.notes.melody[eighth]
                if key > 0:
                    assert key in MELODY_KEYS
                    assert key % 12 in bar.chords[eighth // 4].pitch_classes


def test_a_note_is_held_only_where_it_sounds() -> None:
    for seed in SEEDS:
        for notes in notes_of(written("saxophone", seed)):
            for line, keys in ((notes.melody, MELODY_KEYS), (notes.bass, BASS_KEYS)):
                for before, value in zip((0, *line), line, strict=False):
                    assert value == 0 or abs(value) in keys
                    if value < 0:
                        assert abs(before) == -value


def test_four_minutes_hold_more_than_one_melody_and_fills() -> None:
    for seed in SEEDS:
        score = written("saxophone solo", seed, 240)
        melodies = {notes.melody for notes in notes_of(score) if any(notes.melody)}
        grooves = [bar.notes for bar in score.bars if bar.section == "groove" and bar.notes]
        beats = {tuple(step & (KICK | SNARE) for step in notes.drums) for notes in grooves}
        assert len(melodies) >= 16
        assert len(beats) >= 4
        assert not any(step & OPEN_HAT and step & 4 for notes in grooves for step in notes.drums)


def test_long_pieces_have_two_themes_and_some_change_their_key() -> None:
    rising = 0
    for seed in range(40):
        bars = compose("", seed, 240).bars
        grooves: list[list[object]] = []
        for index, bar in enumerate(bars):
            if bar.section == "groove":
                if index == 0 or bars[index - 1].section != "groove":
                    grooves.append([])
                grooves[-1].append(bar.chords)
        assert len({frozenset(map(str, groove[:4])) for groove in grooves}) >= 2
        named = compose("C major", seed, 240).bars
        assert named[-1].chords[0].root == 0
        shapes = {
            tuple(chord.quality for pair in groove[:4] for chord in pair) for groove in grooves
        }  # type: ignore[attr-defined]
        rising += len({str(groove[:4]) for groove in grooves}) > len(shapes)
    assert 0 < rising < 40
