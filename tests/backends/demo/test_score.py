"""The score's notation: what is written can be read again."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import (
    ATTRIBUTES,
    BAR_FRAMES,
    HEADER_TOKENS,
    QUALITIES,
    TOKENS_PER_BAR,
    VOCABULARY_SIZE,
    Bar,
    Chord,
    Score,
    attribute_token,
    decode,
    encode,
    latent_frames,
    tempo_of,
)


@pytest.mark.parametrize("seed", range(8))
def test_a_score_survives_being_written_and_read(seed: int) -> None:
    score = compose("rainy jazz", seed, 100)
    tokens = encode(score)
    assert decode(tokens) == score
    assert len(tokens) == HEADER_TOKENS + TOKENS_PER_BAR * len(score.bars)
    assert all(0 < token < VOCABULARY_SIZE for token in tokens)


def test_every_chord_and_tempo_has_a_token_of_its_own() -> None:
    attributes = {name: values[0] for name, values in ATTRIBUTES.items()}
    written = {
        tuple(encode(Score(frames, attributes, (Bar("groove", frozenset(), (chord, chord)),))))
        for frames in BAR_FRAMES
        for chord in [Chord(root, quality) for root in range(12) for quality in QUALITIES]
    }
    assert len(written) == len(BAR_FRAMES) * 12 * len(QUALITIES)


def test_attribute_tokens_are_distinct() -> None:
    tokens = [
        attribute_token(name, value) for name, values in ATTRIBUTES.items() for value in values
    ]
    assert len(set(tokens)) == len(tokens)


def test_half_a_bar_is_no_score() -> None:
    tokens = encode(compose("", 1, 20))
    with pytest.raises(ValueError, match="whole number of bars"):
        decode(tokens[:-1])


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(KeyError):
        attribute_token("tuba", "loud")


def test_frames_cover_the_duration() -> None:
    assert latent_frames(30) == 323
    assert latent_frames(4096 / 44100) == 1
    assert latent_frames(4097 / 44100) == 2


def test_tempo_of_a_bar_length() -> None:
    assert tempo_of(32) == pytest.approx(80.749, abs=1e-3)
