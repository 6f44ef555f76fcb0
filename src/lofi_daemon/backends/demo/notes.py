"""The notes of a score: melody, bass and drum hits, a few each bar.

A planned score says which parts play on which chords; this writes what they play. Melodies are
motifs of two bars, answered and varied, one for each theme of the piece; basses stand on roots and
walk to the next one; drums follow the groove with fills where a phrase of eight bars ends.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from .score import (
    BASS_KEYS,
    EIGHTHS,
    HAT,
    KICK,
    MELODY_KEYS,
    OPEN_HAT,
    SIXTEENTHS,
    SNARE,
    Bar,
    Chord,
    Notes,
    Score,
)

# Sixteenth steps of a bar for kick and snare.
GROOVES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "laid back": ((0, 10), (4, 12)),
    "syncopated": ((0, 7, 10), (4, 12)),
    "busy": ((0, 3, 8, 11), (4, 12)),
    "half time": ((0, 11), (8,)),
}
PHRASE_BARS = 8
_FILLS = ((14, 15), (12, 14, 15), (10, 13, 15), (13, 14, 15))


def with_notes(score: Score, seed: int) -> Score:
    """The score with every note written; one seed is one piece."""
    random = Random(f"notes {seed}")
    melodies = _melodies(score, random)
    bars = [
        replace(bar, notes=Notes(drums, melody, bass))
        for bar, drums, melody, bass in zip(
            score.bars, _drums(score, random), melodies, _basses(score, random), strict=True
        )
    ]
    return replace(score, bars=tuple(bars))


def _drums(score: Score, random: Random) -> list[tuple[int, ...]]:
    kicks, snares = GROOVES[score.attributes["groove"]]
    played: list[tuple[int, ...]] = []
    since_entry = 0
    for index, bar in enumerate(score.bars):
        steps = [0] * SIXTEENTHS
        plays = "drums" in bar.parts
        since_entry = since_entry + 1 if plays else 0
        if plays:
            for step in kicks:
                steps[step] |= KICK
            for step in snares:
                steps[step] |= SNARE
            if random.random() < 0.2:
                steps[random.choice((7, 9, 15))] |= SNARE
            if random.random() < 0.15:
                steps[random.choice((6, 14))] |= KICK
            ends = _ends_section(score.bars, index) or since_entry % PHRASE_BARS == 0
            if ends and random.random() < 0.75:
                for step in random.choice(_FILLS):
                    steps[step] |= SNARE
        if "hats" in bar.parts:
            for step in range(0, SIXTEENTHS, 2):
                if random.random() > 0.06:
                    steps[step] |= HAT
            if random.random() < 0.15:
                steps[14] = steps[14] & ~HAT | OPEN_HAT
        played.append(tuple(steps))
    return played


def _ends_section(bars: tuple[Bar, ...], index: int) -> bool:
    return index + 1 < len(bars) and bars[index + 1].section != bars[index].section


class _Motif:
    """Rhythm in eighths of two bars, and the steps of its contour."""

    def __init__(self, random: Random) -> None:
        density = random.uniform(0.7, 1.1)
        on, off = 0.55 * density, 0.3 * density
        self.rhythm = [
            at for at in range(2 * EIGHTHS) if random.random() < (off if at % 2 else on)
        ] or [0, 5]
        height = 0
        self.heights: list[int] = []
        for _ in self.rhythm:
            height += random.choice((-2, -1, -1, 1, 1, 2))
            self.heights.append(height)


def _melodies(score: Score, random: Random) -> list[tuple[int, ...]]:
    motifs = (_Motif(random), _Motif(random))
    written: list[tuple[int, ...]] = []
    theme, was_playing = 1, False
    for index, bar in enumerate(score.bars):
        plays = "melody" in bar.parts
        if plays and not was_playing:  # the other theme after every rest
            theme = 1 - theme
        was_playing = plays
        motif = motifs[theme if bar.section != "break" else 1 - theme]
        near = score.bars[max(0, index - 1) : index + 2]
        scale = {tone for other in near for chord in other.chords for tone in chord.pitch_classes}
        written.append(_melody(bar, motif, index % 2, scale, random) if plays else (0,) * EIGHTHS)
    return written


def _melody(bar: Bar, motif: _Motif, half: int, scale: set[int], random: Random) -> tuple[int, ...]:
    """One bar of a motif: keys where notes begin, negative where they are held, 0 for rests."""
    line = [0] * EIGHTHS
    lift = random.choice((0, 0, 0, 1, -1))
    for order, place in enumerate(motif.rhythm):
        if place // EIGHTHS != half or random.random() < 0.12:
            continue
        at = place % EIGHTHS
        chord = bar.chords[at * 2 // EIGHTHS]
        allowed = scale if at % 2 else set(chord.pitch_classes)
        target = 72 + 2 * (motif.heights[order] + lift) % 11
        key = min(
            (key for key in MELODY_KEYS if key % 12 in allowed),
            key=lambda key: (abs(key - target), key),
        )
        following = motif.rhythm[order + 1] if order + 1 < len(motif.rhythm) else 2 * EIGHTHS
        line[at] = key
        for held in range(at + 1, min(at + min(following - place, 4), EIGHTHS)):
            line[held] = -key
    return tuple(line)


def _basses(score: Score, random: Random) -> list[tuple[int, ...]]:
    written: list[tuple[int, ...]] = []
    for index, bar in enumerate(score.bars):
        line = [0] * EIGHTHS
        if "bass" in bar.parts:
            following = score.bars[min(index + 1, len(score.bars) - 1)]
            ends = bar.section == "ending"
            halves = [(0, bar.chords[0])] if ends else list(enumerate(bar.chords))
            for half, chord in halves:
                at = half * EIGHTHS // 2
                stays = half == 1 and bar.chords[0] == bar.chords[1]
                if not (stays and random.random() < 0.3):
                    _hold(line, at, _root(chord), EIGHTHS if ends else random.choice((3, 3, 4)))
                if ends or random.random() > 0.5:
                    continue
                target = following.chords[0] if half else bar.chords[1]
                fifth = _root(chord) + (chord.pitch_classes[2] - chord.root) % 12
                nears = (fifth, _root(target) - 1, _root(target) + 1)
                _hold(line, at + 3, max(random.choice(nears), BASS_KEYS.start), 1)
        written.append(tuple(line))
    return written


def _root(chord: Chord) -> int:
    return BASS_KEYS.start + (chord.root - BASS_KEYS.start) % 12


def _hold(line: list[int], at: int, key: int, eighths: int) -> None:
    """Write a note; what sounds on after it is cut off."""
    line[at] = key
    for held in range(at + 1, min(at + eighths, EIGHTHS)):
        line[held] = -key
    after = at + eighths
    if after < EIGHTHS and line[after] < 0:
        line[after] = 0
