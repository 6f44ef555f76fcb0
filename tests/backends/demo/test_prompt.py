"""The prompt table: what people write, and what the band must then do and not do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_daemon.backends.demo import words
from lofi_daemon.backends.demo.answer import understood
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.prompt import understand
from lofi_daemon.backends.demo.score import PARTS

SEEDS = range(6)
MAJOR, MINOR = {"maj9"}, {"m9"}

# A claim is one of: attribute=value, attribute!=value, +part, -part, only:parts, bpm:number,
# key:pitch class, minor, major, asked>instead, unknown:word, says nothing.
TABLE = (
    # What was refused stays out.
    ("without rain or vinyl", "rain=no rain", "vinyl=no vinyl"),
    ("no rain, no vinyl", "rain=no rain", "vinyl=no vinyl"),
    ("without crackle", "vinyl=no vinyl"),
    ("without piano", "keys!=piano", "keys!=electric piano", "+keys"),
    ("not piano, please", "keys!=piano"),
    ("instead of piano use guitar", "keys=guitar"),
    ("guitar rather than piano", "keys=guitar"),
    ("no guitar", "keys!=guitar", "keys!=nylon guitar"),
    ("no saxophone", "lead!=saxophone"),
    ("a lead, but no saxophone", "lead!=saxophone", "+melody"),
    ("no pad", "-pad"),
    ("no pads or strings, dreamy", "-pad"),
    ("no drums", "-drums", "-hats"),
    ("NO DRUMS", "-drums", "-hats"),
    ("without the drums", "-drums", "-hats"),
    ("without any drums", "-drums", "-hats"),
    ("don't include any drums", "-drums", "-hats"),
    ("please don\u2019t include any drums", "-drums", "-hats"),
    ("I don't want drums", "-drums", "-hats"),
    ("I don't like drums", "-drums", "tone!=nothing", "-hats"),
    ("drums: none", "-drums", "-hats"),
    ("drums = off, piano", "-drums", "keys=piano"),
    ("drums are not wanted", "-drums"),
    ("drumless piano", "-drums", "keys=piano"),
    ("beatless ambient", "-drums"),
    ("drum-free lofi", "-drums"),
    ("everything but drums", "-drums", "+bass"),
    ("rhodes w/o drums", "-drums", "keys=electric piano"),
    ("leave out the bass", "-bass", "+drums"),
    ("no bass or drums", "-bass", "-drums"),
    ("without bass and drums", "-bass", "-drums", "+keys"),
    ("no drums, bass or melody", "-drums", "-bass", "-melody", "+keys"),
    ("without drums, bass and melody", "-drums", "-bass", "-melody"),
    ("neither drums nor bass", "-drums", "-bass"),
    ("no percussion, no melody", "-drums", "-melody"),
    ("no hi-hats", "-hats", "+drums"),
    ("no vocals", "+drums", "says nothing"),
    ("ohne Schlagzeug, mit Klavier", "-drums", "keys=piano"),
    ("sans batterie", "-drums"),
    ("no 808, brushes", "kit=brushes"),
    # A refusal ends where it ends.
    ("no drums, soft piano", "-drums", "keys=piano"),
    ("no drums and soft piano", "-drums", "keys=piano"),
    ("no drums but rain", "-drums", "rain=rain"),
    ("no drums with vinyl crackle", "-drums", "vinyl=vinyl"),
    ("without rain. Piano!", "rain=no rain", "keys=piano"),
    ("no melody, just nylon guitar and rain", "-melody", "keys=nylon guitar", "rain=rain"),
    ("don't forget the drums", "+drums"),
    ("not only piano but also drums", "keys=piano", "+drums", "+bass"),
    ("I can't live without piano", "keys=piano"),
    ("nothing fancy, piano and brushes", "keys=piano", "kit=brushes"),
    ("not too fast, piano", "keys=piano"),
    # Alone.
    ("solo piano", "keys=piano", "only:keys"),
    ("piano solo", "keys=piano", "only:keys"),
    ("just a piano please", "keys=piano", "only:keys"),
    ("only bass", "only:bass"),
    ("synth pad only", "only:pad"),
    ("nothing but rhodes", "keys=electric piano", "only:keys"),
    ("just drums and bass", "only:drums hats bass"),
    ("rain sounds only, no music", "rain=rain", "only:"),
    ("a lonely guitar, unaccompanied", "keys=guitar"),
    ("vibraphone alone", "keys=vibraphone", "only:keys"),
    ("saxophone solo", "lead=saxophone", "+melody", "+drums"),
    ("just chill beats to study to", "+drums", "+bass", "+keys"),
    # Numbers and keys.
    ("tempo 90", "bpm:90"),
    ("bpm: 90", "bpm:90"),
    ("lofi at 80 bpm", "bpm:80"),
    ("a 72bpm beat", "bpm:72"),
    ("tempo of about 85", "bpm:85"),
    ("between 70 and 75 bpm", "bpm:72.5"),
    ("70-74 bpm", "bpm:72"),
    ("seventy five bpm", "bpm:75"),
    ("90 beats per minute", "bpm:90"),
    ("160 bpm", "bpm:80"),
    ("40 bpm", "bpm:80"),
    ("C major", "key:0", "major"),
    ("in F# minor, slow", "key:6", "minor"),
    ("B flat major piano", "key:10", "major", "keys=piano"),
    ("e-moll", "key:4", "minor"),
    ("A minor", "key:9", "minor"),
    ("in a minor key", "minor"),
    ("key of D", "key:2"),
    ("not minor", "major"),
    ("minor ninth chords", "minor"),
    ("happy but in A minor", "key:9", "minor"),
    # Words that mean something else, or nothing.
    ("blue sky", "major"),
    ("silence", "unknown:silence"),
    ("good vibes", "says nothing"),
    ("qxzv", "unknown:qxzv"),
    ("muted trumpet, upright bass", "trumpet>saxophone", "bass=upright bass", "+melody"),
    ("violin", "violin>flute", "lead=flute"),
    ("violin and saxophone", "violin>saxophone", "lead=saxophone"),
    ("string quartet", "string quartet>pad", "+pad"),
    ("organ", "organ>electric piano"),
    ("harp and rain", "harp>music box", "rain=rain"),
    ("female vocals", "vocals>"),
    ("piano and guitar", "keys=piano", "guitar>piano"),
    # Asked, in other words.
    ("rhodes", "keys=electric piano"),
    ("felt piano and brushed drums", "keys=piano", "kit=brushes"),
    ("boom-bap with double bass", "kit=boom bap kit", "bass=upright bass"),
    ("rainy night, wurlitzer", "rain=rain", "keys=electric piano"),
    ("coffee shop", "kit=brushes", "bass=upright bass"),
    ("coffee shop with an 808", "kit=drum machine", "bass=upright bass"),
    ("warm pad", "+pad", "tone=dark"),
    ("lofi", "says nothing", "rain=no rain", "vinyl=no vinyl", "+drums"),
)


@pytest.mark.parametrize(("prompt", "claims"), [(row[0], row[1:]) for row in TABLE])
def test_the_band_does_what_the_prompt_says(prompt: str, claims: tuple[str, ...]) -> None:
    for claim in claims:
        assert holds(prompt, claim), f"{prompt!r}: {claim}; read {understand(prompt)}"


def holds(prompt: str, claim: str) -> bool:
    """Whether a claim is true of the pieces of all seeds, and of what the text encoder is told."""
    scores = [compose(prompt, seed, 60) for seed in SEEDS]
    played = [{part for bar in score.bars for part in bar.parts} for score in scores]
    finals = [score.bars[-1].chords[0] for score in scores]
    wishes = understand(prompt)
    match claim[0], claim:
        case "+", _:
            return all(claim[1:] in parts for parts in played)
        case "-", _:
            return not any(claim[1:] in parts for parts in played)
        case _, "minor" | "major":
            return {chord.quality for chord in finals} == (MINOR if claim == "minor" else MAJOR)
        case _, "says nothing":
            return not wishes.attributes and not wishes.unknown
    for mark, check in {
        "only:": lambda value: all(parts == set(value.split()) for parts in played),
        "bpm:": lambda value: all(
            abs(score.beats_per_minute / float(value) - 1) < 0.02 for score in scores
        ),
        "key:": lambda value: {chord.root for chord in finals} == {int(value)},
        "unknown:": lambda value: value in wishes.unknown,
    }.items():
        if claim.startswith(mark):
            return check(claim.removeprefix(mark))
    if "!=" in claim:
        attribute, value = claim.split("!=")
        drawn = {score.attributes[attribute] for score in scores}
        return value not in drawn and wishes.attributes.get(attribute) != value
    if ">" in claim:
        asked, instead = claim.split(">")
        return any(asked in words_ and instead == other for words_, other in wishes.replaced)
    attribute, value = claim.split("=")
    refused_or_told = wishes.attributes.get(attribute, value) == value
    return refused_or_told and {score.attributes[attribute] for score in scores} == {value}


def test_the_table_is_long_enough() -> None:
    assert len({row[0] for row in TABLE}) >= 80


def test_every_phrase_of_the_vocabulary_is_heard() -> None:
    for table in (words.PLAIN_WORDS, words.SYNONYMS):
        for (attribute, value), phrases in table.items():
            for phrase in phrases:
                assert understand(f"music with {phrase}").attributes.get(attribute) == value, phrase


def test_every_phrase_of_the_vocabulary_can_be_refused() -> None:
    for table in (words.PLAIN_WORDS, words.SYNONYMS):
        for (attribute, value), phrases in table.items():
            for phrase in phrases:
                wishes = understand(f"music without any {phrase}")
                assert wishes.attributes.get(attribute) != value, phrase
                assert value in wishes.refused.get(attribute, ()), phrase


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120))
def test_any_text_is_read(text: str) -> None:
    assert understand(text).left_out <= set(PARTS)
    assert isinstance(understood(text).text, str)


def test_the_answer_says_what_was_read_and_what_was_not() -> None:
    answer = understood("muted trumpet and zither, no drums, 90 bpm, A minor, slow")
    assert answer.tempo == pytest.approx(90, rel=0.02)
    assert answer.key == "A minor"
    assert answer.left_out == ("drums",)
    assert answer.stand_ins == {"muted trumpet": "saxophone"}
    assert answer.not_known == ("zither",)
    assert answer.moods == ("slow",)
    assert "no muted trumpet here: saxophone" in answer.text
    assert "without drums" in answer.text
    assert "not known: zither" in answer.text


def test_the_answer_to_a_prompt_that_asks_nothing_is_empty() -> None:
    assert understood("lofi").text == ""


def test_the_answer_tells_the_tempo_that_is_played() -> None:
    assert understood("60 bpm").tempo == 64.6
    assert understood("160 bpm").tempo == pytest.approx(80, rel=0.02)


def test_what_plays_alone_is_told() -> None:
    assert understood("solo piano").only == ("chords",)
    assert understood("rain sounds only, no music").only == ()
