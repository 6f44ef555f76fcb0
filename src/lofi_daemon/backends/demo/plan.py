"""The planner: composes the score of a track from its prompt, seed and duration.

Tempo, key, progression, form and arrangement are drawn from the seed within what the prompt asks
for. It knows a few words only (tempo, mood, what is to be left out, who plays); everything else
in a prompt is the text encoder's business. One seed is one piece, and the same on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from .score import (
    ATTRIBUTES,
    BAR_FRAMES,
    Bar,
    Chord,
    Score,
    encode,
    latent_frames,
    tempo_of,
)

_WORDS: dict[str, str] = {
    "slow": r"slow|sleep\w*|lullab\w*|drowsy|calm\w*|bedtime|meditat\w*|ambient|peaceful|tranquil",
    "fast": r"fast|upbeat|energetic|lively|groovy|uptempo|up-tempo|driving|bouncy|brisk|danc\w*",
    "sad": r"sad\w*|melanchol\w*|lonel\w*|gloom\w*|moody|blue|heartbr\w*|nostalg\w*|wistful"
    r"|minor|rain\w*|somber|tears",
    "happy": r"happy|cheer\w*|joy\w*|sunn\w*|bright\w*|uplift\w*|optimis\w*|hopeful|major|morning",
    "jazzy": r"jazz\w*|swing\w*|bebop|bossa|lounge|smoky|noir|coffee\s?(?:shop|house)|caf[eé]",
    "dreamy": r"dream\w*|pad|pads|ethereal|space\w*|float\w*|atmospher\w*|ambient|lush|hazy",
    "lead": r"melod\w*|solo|lead|tune|flutes?|flutist|sax\w*|saxophon\w*|music\s?box|celesta"
    r"|bells?|glockenspiel|woodwinds?|horns?|tenor|alto",
}
_TEMPERS = {name: re.compile(rf"\b(?:{words})\b") for name, words in _WORDS.items()}
_WITHOUT = r"\b(?:no|without|minus|free of|lacking|zero)\s+(?:any\s+)?(?:\w+\s+(?:or|and)\s+)?"
_LEFT_OUT = {
    "drums": re.compile(
        rf"{_WITHOUT}(?:drum\w*|beats?|percussion)|\b(?:drum|beat)less\b|\bdrum-free\b|\bbeat-free\b"
    ),
    "bass": re.compile(rf"{_WITHOUT}bass(?:line)?\b"),
    "melody": re.compile(rf"{_WITHOUT}(?:melod\w*|lead|solo\w*)"),
}
_BEATS_PER_MINUTE = re.compile(r"\b(\d{2,3})\s*-?\s*(?:bpm|beats per minute)\b")

_SLOW, _MIDDLE, _FAST = range(36, 41), range(29, 37), range(26, 30)

# Roots are semitones above the key note; an inner tuple with two chords shares the bar.
_Progression = tuple[tuple[tuple[int, str], ...], ...]
_MAJOR: tuple[_Progression, ...] = (
    (((2, "m9"),), ((7, "9"),), ((0, "maj9"),), ((9, "m7"),)),
    (((0, "maj7"),), ((9, "m7"),), ((2, "m7"),), ((7, "9"),)),
    (((5, "maj7"),), ((4, "m7"),), ((2, "m7"),), ((0, "maj9"),)),
    (((5, "maj9"),), ((7, "7"),), ((4, "m7"),), ((9, "m7"),)),
    (((0, "maj9"),), ((0, "maj9"),), ((5, "maj9"),), ((5, "maj9"),)),
    (((0, "maj7"),), ((4, "m7"),), ((5, "maj7"),), ((5, "m7"),)),
    (((5, "maj7"),), ((4, "7"),), ((9, "m9"),), ((7, "m7"), (0, "9"))),
    (((0, "6"),), ((5, "maj7"),), ((9, "m7"),), ((7, "7"),)),
)
_MINOR: tuple[_Progression, ...] = (
    (((0, "m9"),), ((5, "m9"),), ((8, "maj7"),), ((7, "7"),)),
    (((0, "m7"),), ((8, "maj7"),), ((3, "maj7"),), ((10, "7"),)),
    (((5, "m7"),), ((10, "9"),), ((3, "maj7"),), ((8, "maj7"),)),
    (((0, "m9"),), ((7, "m7"),), ((8, "maj7"),), ((5, "m7"),)),
    (((8, "maj7"),), ((7, "m7"),), ((0, "m9"),), ((0, "m9"),)),
    (((0, "m7"),), ((3, "maj7"),), ((5, "m9"),), ((8, "maj7"), (7, "7"))),
)
_JAZZ_MAJOR: tuple[_Progression, ...] = (
    (((2, "m9"), (7, "9")), ((0, "maj9"),), ((2, "m9"), (7, "9")), ((4, "m7"), (9, "7"))),
    (((0, "maj9"), (9, "7")), ((2, "m9"), (7, "9")), ((4, "m7"), (9, "9")), ((2, "m9"), (7, "9"))),
    (((2, "m9"),), ((7, "9"),), ((0, "maj9"),), ((4, "m7"), (9, "7"))),
)
_JAZZ_MINOR: tuple[_Progression, ...] = (
    (((2, "m7b5"), (7, "7")), ((0, "m9"),), ((5, "m9"), (10, "9")), ((3, "maj9"),)),
    (((0, "m9"),), ((2, "m7b5"), (7, "7")), ((0, "m9"),), ((8, "maj7"), (7, "7"))),
)

_WEIGHTS: dict[str, tuple[float, ...]] = {
    "keys": (4, 2, 2, 1.5, 1.5),
    "lead": (1, 1, 1),
    "kit": (4, 2, 2),
    "bass": (1, 1, 1),
    "rain": (5, 1),
    "vinyl": (1, 2),
    "tone": (2, 1),
    "comping": (2, 2, 1),
    "groove": (3, 2, 1, 1),
    "palette": (1, 1),
}


@dataclass(frozen=True)
class Wishes:
    """What the planner reads from a prompt: known moods, parts left out, a tempo if named."""

    moods: frozenset[str]
    left_out: frozenset[str]
    beats_per_minute: float | None


def read_wishes(prompt: str) -> Wishes:
    """Find tempo, mood and left-out parts in a prompt; unknown words say nothing."""
    text = prompt.lower()
    tempo = _BEATS_PER_MINUTE.search(text)
    return Wishes(
        frozenset(mood for mood, words in _TEMPERS.items() if words.search(text)),
        frozenset(part for part, words in _LEFT_OUT.items() if words.search(text)),
        float(tempo.group(1)) if tempo else None,
    )


def compose(prompt: str, seed: int, duration_sec: float) -> Score:
    """The score of a track; its bars cover `duration_sec` seconds and the last one ends it."""
    # A string seeds Random through SHA-512: the same piece on every platform and version.
    random = Random(f"{seed}/{prompt.strip().lower()}")
    wishes = read_wishes(prompt)
    bar_frames = _choose_tempo(wishes, random)
    attributes = {
        name: random.choices(values, _WEIGHTS[name])[0] for name, values in ATTRIBUTES.items()
    }
    if "slow" in wishes.moods and "fast" not in wishes.moods:
        attributes["comping"] = random.choice(("held chords", "broken chords"))
        attributes["groove"] = random.choice(("laid back", "half time"))
    sections = _form(latent_frames(duration_sec) / bar_frames, random)
    chords = _harmony(sections, wishes, random)
    parts = _arrangement(sections, wishes, random)
    bars = tuple(Bar(*bar) for bar in zip(sections, parts, chords, strict=True))
    return Score(bar_frames, attributes, bars)


def lyric_tokens(prompt: str, seed: int, duration_sec: float) -> list[int]:
    """Token ids of the composed score, as the model's lyric input takes them."""
    return encode(compose(prompt, seed, duration_sec))


def _choose_tempo(wishes: Wishes, random: Random) -> int:
    wanted = wishes.beats_per_minute
    if wanted is not None:
        # A tempo outside the range is played at half or double time where that fits.
        octaves = [wanted * factor for factor in (1, 0.5, 2)]
        fits = [bpm for bpm in octaves if tempo_of(41) < bpm < tempo_of(25)] or octaves
        return min(BAR_FRAMES, key=lambda frames: abs(tempo_of(frames) - fits[0]))
    slow, fast = "slow" in wishes.moods, "fast" in wishes.moods
    return random.choice(_SLOW if slow and not fast else _FAST if fast and not slow else _MIDDLE)


def _form(bars: float, random: Random) -> list[str]:
    """Section of each bar of a piece `bars` long; the last bar sounding is the ending."""
    whole = int(bars)
    tail = bars - whole
    # The final chord needs at least half a bar to ring.
    total = max(1, whole + 1 if tail > 0.5 else whole)
    length = total - 1
    ring = ["ending"] * (1 if bars <= total else 2)
    if length < 6:
        return ["groove"] * length + ring
    if length < 12:
        intro = random.choice((0, 1, 2))
        return ["intro"] * intro + ["groove"] * (length - intro) + ring
    intro, outro = random.choice((2, 4)), random.choice((2, 4))
    sections = ["intro"] * intro
    middle = length - outro
    cycle = (("build", 4), ("groove", 8), ("break", 4))
    turn = random.choice((0, 1))
    while len(sections) < middle:
        name, size = cycle[turn % len(cycle)]
        if name == "break" and middle - len(sections) < 8:
            name = "groove"
        sections += [name] * size
        turn += 1
    return sections[:middle] + ["outro"] * outro + ring


def _harmony(sections: list[str], wishes: Wishes, random: Random) -> list[tuple[Chord, Chord]]:
    """The chords of each bar: one progression for the piece, another for its breaks."""
    key = random.randrange(12)
    sad, happy = "sad" in wishes.moods, "happy" in wishes.moods
    minor = sad if sad != happy else random.random() < 0.45
    plain, jazz = (_MINOR, _JAZZ_MINOR) if minor else (_MAJOR, _JAZZ_MAJOR)
    pool = jazz if "jazzy" in wishes.moods else plain + jazz[:1]
    theme = random.choice(pool)
    contrast = random.choice([other for other in plain + jazz if other is not theme])
    final = Chord(key, "m9" if minor else "maj9")
    chords: list[tuple[Chord, Chord]] = []
    since_change = 0
    for index, section in enumerate(sections):
        since_change = 0 if index and sections[index - 1] != section else since_change + 1
        if section == "ending":
            chords.append((final, final))
            continue
        progression = contrast if section == "break" else theme
        bar = progression[since_change % 4 if section == "break" else index % 4]
        pair = [Chord((key + root) % 12, quality) for root, quality in bar]
        chords.append((pair[0], pair[-1]))
    return chords


def _arrangement(sections: list[str], wishes: Wishes, random: Random) -> list[frozenset[str]]:
    """The parts that play in each bar."""
    pad = {"pad"} if "dreamy" in wishes.moods or random.random() < 0.35 else set[str]()
    asks_lead = "lead" in wishes.moods
    melodic = asks_lead or random.random() < 0.8
    intro = random.choice(({"keys"}, {"keys", "pad"}, {"keys", "hats"}, {"keys", "melody"}))
    broken = random.choice(({"keys", "pad"}, {"keys", "bass", "melody"}, {"keys", "hats", "bass"}))
    rest_phrase = random.choice((0, 1))
    short = len(sections) < 14
    played: list[frozenset[str]] = []
    since_groove = 0
    for section in sections:
        since_groove = since_groove + 1 if section == "groove" else 0
        if section == "intro":
            parts = set(intro)
        elif section == "build":
            parts = {"keys", "bass", "hats"} | pad
        elif section == "groove":
            parts = {"keys", "bass", "drums", "hats"} | pad
            # A melody breathes: it pauses every other phrase of four bars.
            phrase = (since_groove - 1) // 4 % 2
            if melodic and (short or asks_lead or phrase != rest_phrase):
                parts.add("melody")
        elif section == "break":
            parts = set(broken) | pad
        elif section == "outro":
            parts = {"keys", "bass", "hats"} | pad
        else:
            parts = {"keys", "bass"} | pad
        if not melodic:
            parts.discard("melody")
        parts -= wishes.left_out
        if "drums" in wishes.left_out:
            parts.discard("hats")
        played.append(frozenset(parts))
    return played
