"""The players: turn a score into notes with times and strengths, as a small lofi band would.

Times are seconds from the start of the piece. Every choice is drawn from one numpy Generator, so
a seed always gives the same notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lofi_daemon.backends.demo import score as score_notation
from lofi_daemon.backends.demo.notes import GROOVES
from lofi_daemon.backends.demo.score import (
    BEATS_PER_BAR,
    EIGHTHS,
    LATENT_RATE,
    Bar,
    Chord,
    Notes,
    Score,
)


@dataclass(frozen=True)
class Note:
    """One note: MIDI key (for drums a drum key), velocity 1–127, start and length in seconds."""

    key: int
    velocity: int
    start: float
    length: float


KICK, RIM, SNARE, CLOSED_HAT, OPEN_HAT = 36, 37, 38, 42, 46

# Chord strokes of half a bar: start and length in beats.
COMPING: dict[str, tuple[tuple[float, float], ...]] = {
    "held chords": ((0.0, 1.9),),
    "offbeat chords": ((0.0, 0.9), (1.5, 0.45)),
    "broken chords": ((0.0, 1.9), (0.5, 1.4), (1.0, 0.9), (1.5, 0.45)),
}


class Clock:
    """Places beats in time: bar grid, swing of the off-beat eighths, and a human's jitter."""

    def __init__(self, score: Score, rng: np.random.Generator) -> None:
        self.bar_sec = score.bar_frames / LATENT_RATE
        self.beat_sec = self.bar_sec / BEATS_PER_BAR
        self.swing = rng.uniform(0.08, 0.16)
        self.rng = rng

    def at(self, bar: int, beat: float, jitter: float = 0.006) -> float:
        """Seconds at which `beat` (0–4) of a bar sounds."""
        swung = beat + (self.swing if (beat * 2) % 2 == 1 else 0.0)
        moved = self.rng.normal(0, jitter) if jitter else 0.0
        return max(0.0, bar * self.bar_sec + swung * self.beat_sec + float(moved))


def voicing(chord: Chord, previous: list[int], low: int = 53, high: int = 74) -> list[int]:
    """Rootless-leaning voicing of a chord, each tone placed nearest to the chord before."""
    tones = chord.pitch_classes[1:] if len(chord.pitch_classes) > 4 else chord.pitch_classes
    centre = sum(previous) / len(previous) if previous else 62.0
    keys = set[int]()
    for tone in tones:
        options = [key for key in range(low, high + 1) if key % 12 == tone and key not in keys]
        keys.add(min(options, key=lambda key: abs(key - centre)))
    return sorted(keys)


def play_keys(score: Score, clock: Clock) -> list[Note]:
    rng, notes, previous = clock.rng, list[Note](), list[int]()
    pattern = COMPING[score.attributes["comping"]]
    broken = score.attributes["comping"] == "broken chords"
    for index, bar in enumerate(score.bars):
        if "keys" not in bar.parts:
            continue
        for half, chord in enumerate(bar.chords):
            if half and bar.section == "ending":
                continue
            chord_keys = voicing(chord, previous)
            previous = chord_keys
            held = bar.section in ("intro", "ending")
            strokes = ((0.0, 3.9 if bar.section == "ending" else 1.9),) if held else pattern
            spread = rng.uniform(0.004, 0.02)
            for stroke, (beat, length) in enumerate(strokes):
                keys = chord_keys
                if broken and not held:
                    keys = [chord_keys[(stroke + half) % len(chord_keys)]]
                    keys += [chord_keys[0]] if stroke == 0 else []
                start = clock.at(index, 2 * half + beat)
                accent = 74 if beat == 0 else 62
                for order, key in enumerate(keys):
                    velocity = int(np.clip(rng.normal(accent, 6), 30, 110))
                    notes.append(
                        Note(key, velocity, start + order * spread, length * clock.beat_sec)
                    )
    return notes


def play_pad(score: Score, clock: Clock) -> list[Note]:
    notes, previous = list[Note](), list[int]()
    for index, bar in enumerate(score.bars):
        if "pad" not in bar.parts:
            continue
        for half, chord in enumerate(bar.chords):
            previous = voicing(chord, previous, 48, 69)
            start = clock.at(index, 2.0 * half, jitter=0)
            notes += [Note(key, 70, start, 2.05 * clock.beat_sec) for key in previous]
    return notes


def play_line(
    score: Score, clock: Clock, lines: list[tuple[int, ...]], velocity: float, release: float
) -> list[Note]:
    """The notes of one written line (see `Notes`): a key sounds until it is no longer held."""
    rng, notes = clock.rng, list[Note]()
    flat = [value for line in lines for value in line]
    for at, value in enumerate(flat):
        if value <= 0:
            continue
        end = at + 1
        while end < len(flat) and flat[end] == -value:
            end += 1
        bar, eighth = divmod(at, EIGHTHS)
        strength = int(np.clip(rng.normal(velocity, 7), 40, 120))
        length = (end - at - release) * clock.beat_sec / 2
        notes.append(Note(value, strength, clock.at(bar, eighth / 2), length))
    return notes


def play_bass(score: Score, clock: Clock) -> list[Note]:
    return play_line(score, clock, [written(bar).bass for bar in score.bars], 88, 0.15)


def play_melody(score: Score, clock: Clock) -> list[Note]:
    return play_line(score, clock, [written(bar).melody for bar in score.bars], 80, 0.12)


def written(bar: Bar) -> Notes:
    """The notes of a bar; the band plays what is written and nothing else."""
    assert bar.notes is not None, "the band needs a score with notes"
    return bar.notes


def play_drums(score: Score, clock: Clock) -> list[Note]:
    rng, notes = clock.rng, list[Note]()
    snares = set(GROOVES[score.attributes["groove"]][1])
    rim = score.attributes["kit"] != "brushes" and rng.random() < 0.25

    def hit(key: int, bar: int, step: int, velocity: float) -> None:
        strength = int(np.clip(rng.normal(velocity, 6), 15, 127))
        notes.append(Note(key, strength, clock.at(bar, step / 4), 0.3))

    for index, bar in enumerate(score.bars):
        for step, hits in enumerate(written(bar).drums):
            if hits & score_notation.KICK:
                hit(KICK, index, step, 108 if step == 0 else 92)
            if hits & score_notation.SNARE:
                main = step in snares
                # A quiet one between the beats, louder ones in a fill.
                hit(RIM if rim and main else SNARE, index, step, 96 if main else 34 + 3 * step)
            if hits & score_notation.HAT:
                hit(CLOSED_HAT, index, step, 74 if step % 4 == 0 else 58)
            if hits & score_notation.OPEN_HAT:
                hit(OPEN_HAT, index, step, 60)
    return notes
