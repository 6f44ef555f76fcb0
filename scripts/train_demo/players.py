"""The players: turn a score into notes, the way a small lofi band would.

Times are seconds from the start of the piece. Every choice is drawn from one numpy Generator, so
a seed always gives the same notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lofi_daemon.backends.demo.score import BEATS_PER_BAR, LATENT_RATE, Bar, Chord, Score


@dataclass(frozen=True)
class Note:
    """One note: MIDI key (for drums a drum key), velocity 1–127, start and length in seconds."""

    key: int
    velocity: int
    start: float
    length: float


KICK, RIM, SNARE, CLOSED_HAT, OPEN_HAT = 36, 37, 38, 42, 46

# Sixteenth steps of a bar for kick and snare.
GROOVES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "laid back": ((0, 10), (4, 12)),
    "syncopated": ((0, 7, 10), (4, 12)),
    "busy": ((0, 3, 8, 11), (4, 12)),
    "half time": ((0, 11), (8,)),
}
# Chord strokes of half a bar: start and length in beats.
COMPING: dict[str, tuple[tuple[float, float], ...]] = {
    "held chords": ((0.0, 1.9),),
    "offbeat chords": ((0.0, 0.9), (1.5, 0.45)),
    "broken chords": ((0.0, 1.9), (0.5, 1.4), (1.0, 0.9), (1.5, 0.45)),
}
PENTATONIC = {False: (0, 2, 4, 7, 9), True: (0, 3, 5, 7, 10)}


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


def play_bass(score: Score, clock: Clock) -> list[Note]:
    rng, notes = clock.rng, list[Note]()
    for index, bar in enumerate(score.bars):
        if "bass" not in bar.parts:
            continue
        following = score.bars[index + 1] if index + 1 < len(score.bars) else bar
        for half, chord in enumerate(bar.chords):
            if half and bar.section == "ending":
                continue
            root = 28 + (chord.root - 28) % 12
            fifth = root + chord_step(chord, 2)
            changes = half == 0 and bar.chords[0] == bar.chords[1]
            long = 3.6 if bar.section == "ending" else (1.4 if rng.random() < 0.6 else 1.9)
            if not (half and bar.chords[0] == bar.chords[1] and rng.random() < 0.3):
                notes.append(_bass_note(clock, root, index, 2.0 * half, long))
            if bar.section == "ending" or rng.random() > 0.5:
                continue
            target = bar.chords[1] if changes else following.chords[0]
            approach = 28 + (target.root - 28) % 12 + int(rng.choice([-1, 1]))
            key = fifth if half == 0 or rng.random() < 0.5 else approach
            notes.append(_bass_note(clock, key, index, 2.0 * half + 1.5, 0.45))
    return notes


def chord_step(chord: Chord, step: int) -> int:
    """Semitones from the root of a chord up to one of its tones."""
    return (chord.pitch_classes[step] - chord.root) % 12


def _bass_note(clock: Clock, key: int, bar: int, beat: float, beats: float) -> Note:
    velocity = int(np.clip(clock.rng.normal(88, 6), 50, 120))
    return Note(key, velocity, clock.at(bar, beat), beats * clock.beat_sec)


def play_melody(score: Score, clock: Clock) -> list[Note]:
    """A motif of two bars, answered and varied, on the chord's tones and the key's pentatonic."""
    rng, notes = clock.rng, list[Note]()
    final = score.bars[-1].chords[0]
    scale = [(final.root + step) % 12 for step in PENTATONIC[final.quality.startswith("m9")]]
    starts = np.arange(0, 8, 0.5)
    weights = np.where(starts % 1 == 0, 0.55, 0.3)
    rhythm = [float(beat) for beat in starts[rng.random(16) < weights * rng.uniform(0.7, 1.1)]]
    rhythm = rhythm or [0.0, 2.5]
    shape = np.cumsum(rng.choice([-2, -1, -1, 1, 1, 2], len(rhythm)))
    for index, bar in enumerate(score.bars):
        if "melody" not in bar.parts:
            continue
        half_phrase = index % 2
        for order, beat in enumerate(rhythm):
            if not 4 * half_phrase <= beat < 4 * half_phrase + 4 or rng.random() < 0.12:
                continue
            chord = bar.chords[int(beat % 4 >= 2)]
            strong = beat % 1 == 0
            allowed = set(chord.pitch_classes) if strong else set(scale) | set(chord.pitch_classes)
            target = 72 + 2 * int(shape[order]) % 11
            key = min(
                (key for key in range(64, 86) if key % 12 in allowed),
                key=lambda key: (abs(key - target), key),
            )
            end = rhythm[order + 1] if order + 1 < len(rhythm) else 8.0
            length = min(end - beat, 2.0) * 0.92
            velocity = int(np.clip(rng.normal(80, 7), 40, 115))
            notes.append(Note(key, velocity, clock.at(index, beat % 4), length * clock.beat_sec))
    return notes


def play_drums(score: Score, clock: Clock) -> list[Note]:
    rng, notes = clock.rng, list[Note]()
    kicks, snares = GROOVES[score.attributes["groove"]]
    snare = RIM if score.attributes["kit"] != "brushes" and rng.random() < 0.25 else SNARE

    def hit(key: int, bar: int, step: float, velocity: float) -> None:
        strength = int(np.clip(rng.normal(velocity, 6), 15, 127))
        notes.append(Note(key, strength, clock.at(bar, step / 4), 0.3))

    for index, bar in enumerate(score.bars):
        if "drums" in bar.parts:
            for step in kicks:
                hit(KICK, index, step, 108 if step == 0 else 92)
            for step in snares:
                hit(snare, index, step, 96)
            if rng.random() < 0.2:
                hit(SNARE, index, float(rng.choice([7, 9, 15])), 34)
            if _last_of_section(score.bars, index) and rng.random() < 0.6:
                hit(SNARE, index, 14, 70)
                hit(SNARE, index, 15, 80)
        if "hats" in bar.parts:
            for step in range(0, 16, 2):
                if rng.random() > 0.06:
                    hit(CLOSED_HAT, index, step, 74 if step % 4 == 0 else 58)
            if rng.random() < 0.15:
                hit(OPEN_HAT, index, 14, 60)
    return notes


def _last_of_section(bars: tuple[Bar, ...], index: int) -> bool:
    return index + 1 < len(bars) and bars[index + 1].section != bars[index].section
