"""The planner: composes the score of a track from its prompt, seed and duration.

Tempo, key, progression, form and arrangement are drawn from the seed within what the prompt asks
for. One seed is one piece, and the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .prompt import Understanding, understand
from .score import (
    ATTRIBUTES,
    BAR_FRAMES,
    Bar,
    Chord,
    Score,
    latent_frames,
    tempo_of,
)

PERIOD = 4
"""Progressions are of four bars."""
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
    # Rain and crackle come where they are asked for.
    "rain": (1, 0),
    "vinyl": (1, 0),
    "tone": (2, 1),
    "comping": (2, 2, 1),
    "groove": (3, 2, 1, 1),
    "palette": (1, 1),
}


@dataclass(frozen=True)
class Ground:
    """What a piece has of the one that it goes on from: the length of its bars, and its key.

    key: a pitch class.
    """

    bar_frames: int
    key: int
    minor: bool


def compose(prompt: str, seed: int, duration_sec: float, ground: Ground | None = None) -> Score:
    """The score of a track; its bars cover `duration_sec` seconds and the last one ends it.

    ground: it goes on from another piece, without an intro and whatever tempo and key the prompt
    names, and turns to its end after whole progressions, so that another one can go on from it.
    """
    # A string seeds Random through SHA-512: the same piece on every platform and version.
    random = Random(f"{seed}/{prompt.strip().lower()}")
    wishes = understand(prompt)
    bar_frames = choose_tempo(wishes, random) if ground is None else ground.bar_frames
    attributes = {name: chosen_attribute(name, wishes, random) for name in ATTRIBUTES}
    if "slow" in wishes.moods and "fast" not in wishes.moods:
        if "comping" not in wishes.attributes:
            attributes["comping"] = random.choice(("held chords", "broken chords"))
        attributes["groove"] = random.choice(("laid back", "half time"))
    sections = _form(latent_frames(duration_sec) / bar_frames, random)
    if ground is not None:
        sections = _onward(sections)
    chords = _harmony(sections, wishes, random, ground)
    parts = _arrangement(sections, wishes, random)
    bars = tuple(Bar(*bar) for bar in zip(sections, parts, chords, strict=True))
    return Score(bar_frames, attributes, bars)


def chosen_attribute(name: str, wishes: Understanding, random: Random) -> str:
    refused = wishes.refused.get(name, frozenset())
    weights = [
        0 if value in refused else weight
        for value, weight in zip(ATTRIBUTES[name], _WEIGHTS[name], strict=True)
    ]
    drawn = random.choices(ATTRIBUTES[name], weights if any(weights) else None)[0]
    return wishes.attributes.get(name, drawn)


def choose_tempo(wishes: Understanding, random: Random) -> int:
    """The length of a bar in latent frames: as asked where a tempo is named, else drawn."""
    wanted = wishes.beats_per_minute
    if wanted is not None:
        # A tempo outside the range is played at half or double time where that fits.
        octaves = [wanted * factor for factor in (1, 0.5, 2)]
        fits = [bpm for bpm in octaves if tempo_of(41) < bpm < tempo_of(25)] or octaves
        return min(BAR_FRAMES, key=lambda frames: abs(tempo_of(frames) - fits[0]))
    slow, fast = "slow" in wishes.moods, "fast" in wishes.moods
    return random.choice(_SLOW if slow and not fast else _FAST if fast and not slow else _MIDDLE)


def _form(bars: float, random: Random) -> list[str]:
    """Section of each bar of a piece `bars` long; the last bar sounding is the ending.

    The beat is in by the third bar. Intro, ending and all that pauses take at most three tenths
    of the bars, so that the groove is what a track mostly is.
    """
    whole = int(bars)
    tail = bars - whole
    # The final chord needs at least half a bar to ring.
    total = max(1, whole + 1 if tail > 0.5 else whole)
    ring = ["ending"] * (1 if bars <= total else 2)
    pauses = int(0.3 * (total - 1 + len(ring))) - len(ring)
    intro = min(random.choice((1, 2)), 2 if pauses > 3 else 1) if pauses > 0 else 0
    outro = min(random.choice((1, 2)), max(0, pauses - intro))
    pauses -= intro + outro
    left = total - 1 - intro - outro
    dips = (("build", 2), ("break", 2))
    turn = random.choice((0, 1))
    middle: list[str] = []
    while left - len(middle) > 10 and pauses >= 2:
        name, size = dips[turn % 2]
        middle += ["groove"] * 8 + [name] * size
        pauses -= size
        turn += 1
    middle += ["groove"] * (left - len(middle))
    return ["intro"] * intro + middle + ["outro"] * outro + ring


def _onward(sections: list[str]) -> list[str]:
    """The form of a piece that goes on from another: nothing begins, and phrases are whole."""
    sounding = len(sections) - sections.count("ending")
    turn = sounding // PERIOD * PERIOD or sounding
    body = [
        section if section in ("groove", "build", "break") else "groove"
        for section in sections[:turn]
    ]
    return body + ["outro"] * (sounding - turn) + ["ending"] * sections.count("ending")


def _harmony(
    sections: list[str], wishes: Understanding, random: Random, ground: Ground | None
) -> list[tuple[Chord, Chord]]:
    """The chords of each bar.

    Two progressions take turns in the grooves (A A B A), two others in the pauses. A long piece
    may rise by a tone or a semitone for its last third, unless its key was named.
    """
    key = random.randrange(12)
    key = key if wishes.key is None else wishes.key
    sad, happy = "sad" in wishes.moods, "happy" in wishes.moods
    minor = sad if sad != happy else random.random() < 0.45
    minor = minor if wishes.minor is None else wishes.minor
    if ground is not None:
        key, minor = ground.key, ground.minor
    plain, jazz = (_MINOR, _JAZZ_MINOR) if minor else (_MAJOR, _JAZZ_MAJOR)
    pool = jazz if "jazzy" in wishes.moods else plain + jazz[:1]
    themes = random.sample(pool, 2)
    contrasts = random.sample([other for other in plain + jazz if other not in themes], 2)
    rise = random.choice((1, 2)) if random.random() < 0.35 else 0
    free = wishes.key is None and ground is None
    rises_at = _rises_at(sections) if free and rise else len(sections)
    chords: list[tuple[Chord, Chord]] = []
    since_change, grooves, pauses = 0, -1, -1
    for index, section in enumerate(sections):
        since_change = 0 if index and sections[index - 1] != section else since_change + 1
        if since_change == 0 or index == 0:
            grooves += section == "groove"
            pauses += section == "break"
        tonic = key + (rise if index >= rises_at else 0)
        if section == "ending":
            final = Chord(tonic % 12, "m9" if minor else "maj9")
            chords.append((final, final))
            continue
        progression = contrasts[pauses % 2] if section == "break" else themes[grooves % 4 == 2]
        bar = progression[since_change % 4 if section == "break" else index % 4]
        pair = [Chord((tonic + root) % 12, quality) for root, quality in bar]
        chords.append((pair[0], pair[-1]))
    return chords


def _rises_at(sections: list[str]) -> int:
    """Where a long piece may change its key: at the groove that begins its last third."""
    if len(sections) < 40:
        return len(sections)
    starts = [
        index
        for index in range(1, len(sections))
        if sections[index] == "groove" and sections[index - 1] != "groove"
    ]
    return next((start for start in starts if start >= len(sections) * 0.6), len(sections))


def _arrangement(
    sections: list[str], wishes: Understanding, random: Random
) -> list[frozenset[str]]:
    """The parts that play in each bar."""
    dreamy = "dreamy" in wishes.moods or random.random() < 0.35
    pad = {"pad"} if dreamy or "pad" in wishes.asked else set[str]()
    asks_lead = "melody" in wishes.asked
    melodic = random.random() < 0.8 or asks_lead
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
        elif section == "groove":
            parts = {"keys", "bass", "drums", "hats"} | pad
            # A melody breathes: it pauses every other phrase of four bars.
            phrase = (since_groove - 1) // 4 % 2
            if short or asks_lead or phrase != rest_phrase:
                parts.add("melody")
        elif section == "break":
            parts = set(broken) | pad
        elif section in ("build", "outro"):
            parts = {"keys", "bass", "hats"} | pad
        else:
            parts = {"keys", "bass"} | pad
        if not melodic:
            parts.discard("melody")
        played.append(allowed(parts, wishes))
    return played


def allowed(parts: set[str], wishes: Understanding) -> frozenset[str]:
    """The parts less what is refused; what is to play alone plays throughout."""
    if wishes.only is not None:
        parts = parts & wishes.only or set(wishes.only)
    parts = parts - wishes.left_out
    if "drums" in wishes.left_out:
        parts.discard("hats")
    return frozenset(parts)
