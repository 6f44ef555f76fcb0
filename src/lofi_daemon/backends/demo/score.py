"""The score: what is to be played, written as the token ids of the demo model's lyric input.

A score is a sequence of integers. First comes one tempo token, then one token for each entry of
`ATTRIBUTES` in order (the band's instruments, texture and style), then four tokens a bar: its
section, the parts that play in it, and the chords of its two halves. A score whose notes are
written has 24 more a bar: a token for the drum hits of each sixteenth, and one for the melody and
bass of each eighth. Token 0 is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

LATENT_RATE = 44100 / 4096
"""Latent frames a second."""

BEATS_PER_BAR = 4
BAR_FRAMES = tuple(range(26, 41))
"""The lengths a bar may have, in latent frames: 99.4 down to 64.6 beats a minute."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "keys": ("electric piano", "piano", "guitar", "nylon guitar", "vibraphone"),
    "lead": ("flute", "saxophone", "music box"),
    "kit": ("boom bap kit", "brushes", "drum machine"),
    "bass": ("upright bass", "electric bass", "sub bass"),
    "rain": ("no rain", "rain"),
    "vinyl": ("no vinyl", "vinyl"),
    "tone": ("dark", "bright"),
    "comping": ("held chords", "offbeat chords", "broken chords"),
    "groove": ("laid back", "syncopated", "busy", "half time"),
    "palette": ("fluid", "general"),
}
"""Each attribute of the band and the values it can have; one value of each holds for a track."""

SECTIONS = ("intro", "build", "groove", "break", "outro", "ending")
PARTS = ("keys", "bass", "drums", "hats", "melody", "pad")
QUALITIES: dict[str, tuple[int, ...]] = {
    "maj7": (0, 4, 7, 11),
    "maj9": (0, 4, 7, 11, 2),
    "m7": (0, 3, 7, 10),
    "m9": (0, 3, 7, 10, 2),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 7, 10, 2),
    "m7b5": (0, 3, 6, 10),
    "6": (0, 4, 7, 9),
}
"""Chord qualities as semitones above the root, in the order in which a player stacks them."""

SIXTEENTHS, EIGHTHS = 16, 8
KICK, SNARE, HAT, OPEN_HAT = 1, 2, 4, 8
"""Bits of a sixteenth's drum hits."""
MELODY_KEYS, BASS_KEYS = range(64, 86), range(27, 52)
"""MIDI keys that a melody and a bass can play."""

_QUALITY_NAMES = tuple(QUALITIES)
_FIRST_TEMPO = 1
_FIRST_ATTRIBUTE = _FIRST_TEMPO + len(BAR_FRAMES)
_FIRST_SECTION = _FIRST_ATTRIBUTE + sum(len(values) for values in ATTRIBUTES.values())
_FIRST_PARTS = _FIRST_SECTION + len(SECTIONS)
_FIRST_CHORD = _FIRST_PARTS + 2 ** len(PARTS)

_FIRST_DRUM = _FIRST_CHORD + 12 * len(QUALITIES)
_FIRST_NOTE = _FIRST_DRUM + 2**4
# A line has a rest, every key begun, every key held.
MELODY_SIGNS, BASS_SIGNS = 1 + 2 * len(MELODY_KEYS), 1 + 2 * len(BASS_KEYS)

VOCABULARY_SIZE = _FIRST_NOTE + MELODY_SIGNS * BASS_SIGNS
HEADER_TOKENS = 1 + len(ATTRIBUTES)
TOKENS_PER_BAR = 4
NOTED_TOKENS_PER_BAR = TOKENS_PER_BAR + SIXTEENTHS + EIGHTHS


@dataclass(frozen=True)
class Chord:
    """A chord: its root as a pitch class (C = 0) and the name of its quality."""

    root: int
    quality: str

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        return tuple((self.root + tone) % 12 for tone in QUALITIES[self.quality])


@dataclass(frozen=True)
class Notes:
    """What a bar's players play.

    drums: the hits of each sixteenth, bits of KICK, SNARE, HAT and OPEN_HAT. melody, bass: for
    each eighth the MIDI key that begins, its negative while it is held, 0 for a rest.
    """

    drums: tuple[int, ...]
    melody: tuple[int, ...]
    bass: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """One bar: its section, the parts that play, the chord of each half, and perhaps its notes."""

    section: str
    parts: frozenset[str]
    chords: tuple[Chord, Chord]
    notes: Notes | None = None


@dataclass(frozen=True)
class Score:
    """A whole piece: bar length in latent frames, the band, and the bars in order."""

    bar_frames: int
    attributes: dict[str, str]
    bars: tuple[Bar, ...]

    @property
    def beats_per_minute(self) -> float:
        return tempo_of(self.bar_frames)


def tempo_of(bar_frames: int) -> float:
    """Beats a minute when a bar takes `bar_frames` latent frames."""
    return 60 * BEATS_PER_BAR * LATENT_RATE / bar_frames


def latent_frames(duration_sec: float) -> int:
    """Latent frames that cover `duration_sec` seconds."""
    return ceil(duration_sec * LATENT_RATE)


def attribute_token(name: str, value: str) -> int:
    """Token of one value of an attribute; KeyError or ValueError for an unknown one."""
    token = _FIRST_ATTRIBUTE
    for known, values in ATTRIBUTES.items():
        if known == name:
            return token + values.index(value)
        token += len(values)
    raise KeyError(name)


def encode(score: Score) -> list[int]:
    """Token ids of a score, `HEADER_TOKENS` + `TOKENS_PER_BAR` × bars of them.

    `NOTED_TOKENS_PER_BAR` where notes are written, which is in all bars or in none.
    """
    tokens = [_FIRST_TEMPO + BAR_FRAMES.index(score.bar_frames)]
    tokens += [attribute_token(name, score.attributes[name]) for name in ATTRIBUTES]
    for bar in score.bars:
        tokens.append(_FIRST_SECTION + SECTIONS.index(bar.section))
        tokens.append(
            _FIRST_PARTS + sum(1 << bit for bit, part in enumerate(PARTS) if part in bar.parts)
        )
        tokens += [
            _FIRST_CHORD + 12 * _QUALITY_NAMES.index(chord.quality) + chord.root
            for chord in bar.chords
        ]
        if bar.notes is not None:
            tokens += [_FIRST_DRUM + hits for hits in bar.notes.drums]
            tokens += [
                _FIRST_NOTE + _sign(melody, MELODY_KEYS) * BASS_SIGNS + _sign(bass, BASS_KEYS)
                for melody, bass in zip(bar.notes.melody, bar.notes.bass, strict=True)
            ]
    return tokens


def _sign(value: int, keys: range) -> int:
    """0 for a rest, then every key begun, then every key held."""
    if value == 0:
        return 0
    return 1 + keys.index(abs(value)) + (len(keys) if value < 0 else 0)


def _value(sign: int, keys: range) -> int:
    if sign == 0:
        return 0
    held, place = divmod(sign - 1, len(keys))
    return -keys[place] if held else keys[place]


def drum_hits(token: int) -> int:
    """The bits of a drum token, 0 for every other token."""
    return token - _FIRST_DRUM if _FIRST_DRUM <= token < _FIRST_NOTE else 0


def lines(token: int) -> tuple[int, int]:
    """Melody and bass of a note token as `Notes` has them, rests for every other token."""
    if token < _FIRST_NOTE:
        return 0, 0
    melody, bass = divmod(token - _FIRST_NOTE, BASS_SIGNS)
    return _value(melody, MELODY_KEYS), _value(bass, BASS_KEYS)


def tokens_per_bar(tokens: Sequence[int]) -> int:
    """How many tokens each bar of these has: with notes or without."""
    has_notes = any(token >= _FIRST_DRUM for token in tokens[: HEADER_TOKENS + TOKENS_PER_BAR + 1])
    return NOTED_TOKENS_PER_BAR if has_notes else TOKENS_PER_BAR


def decode(tokens: Sequence[int]) -> Score:
    """The score that `encode` wrote as `tokens`; ValueError if they are none."""
    body = tokens[HEADER_TOKENS:]
    each = tokens_per_bar(tokens)
    if len(tokens) < HEADER_TOKENS or len(body) % each:
        raise ValueError(f"{len(tokens)} tokens are no whole number of bars")
    value_of = {
        attribute_token(name, value): value
        for name, values in ATTRIBUTES.items()
        for value in values
    }
    attributes = {
        name: value_of[token]
        for name, token in zip(ATTRIBUTES, tokens[1:HEADER_TOKENS], strict=True)
    }
    bars: list[Bar] = []
    for start in range(0, len(body), each):
        section, parts, first, second = body[start : start + TOKENS_PER_BAR]
        mask = parts - _FIRST_PARTS
        bars.append(
            Bar(
                SECTIONS[section - _FIRST_SECTION],
                frozenset(part for bit, part in enumerate(PARTS) if mask >> bit & 1),
                (_decode_chord(first), _decode_chord(second)),
                _decode_notes(body[start + TOKENS_PER_BAR : start + each]),
            )
        )
    return Score(BAR_FRAMES[tokens[0] - _FIRST_TEMPO], attributes, tuple(bars))


def _decode_notes(tokens: Sequence[int]) -> Notes | None:
    if not tokens:
        return None
    both = [lines(token) for token in tokens[SIXTEENTHS:]]
    return Notes(
        tuple(drum_hits(token) for token in tokens[:SIXTEENTHS]),
        tuple(melody for melody, _ in both),
        tuple(bass for _, bass in both),
    )


def _decode_chord(token: int) -> Chord:
    quality, root = divmod(token - _FIRST_CHORD, 12)
    return Chord(root, _QUALITY_NAMES[quality])
