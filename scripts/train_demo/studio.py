"""The studio: sounds the players' notes, mixes them and puts them on tape.

Sounds come from the FluidR3 and MuseScore General sound fonts (both MIT); rain and vinyl are
filtered noise made here. Audio is float32 [2, samples] at 44.1 kHz.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pedalboard
import pyloudnorm
import tinysoundfont
from scipy.signal import butter, lfilter, sosfilt

from lofi_daemon.backends.demo.score import Score

from .players import (
    KICK,
    Clock,
    Note,
    play_bass,
    play_drums,
    play_keys,
    play_melody,
    play_pad,
)

SAMPLE_RATE = 44100
LOUDNESS_LUFS = -16.0
SOUND_FONTS = {
    "fluid": Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    "general": Path("/usr/share/sounds/sf3/MuseScore_General.sf3"),
}
PRESETS = {
    "electric piano": 4,
    "piano": 0,
    "guitar": 26,
    "nylon guitar": 24,
    "vibraphone": 11,
    "flute": 73,
    "saxophone": 66,
    "music box": 10,
    "upright bass": 32,
    "electric bass": 33,
    "pad": 89,
}
DRUM_KITS = {"boom bap kit": 8, "brushes": 40, "drum machine": 25}
STEM_LEVELS = {"keys": 0.09, "bass": 0.075, "drums": 0.07, "melody": 0.06, "pad": 0.028}
RING_SAMPLES = SAMPLE_RATE // 5
SILENT_BELOW = 1e-3
"""Peak of a stem that nobody plays, at most."""
PANS = {"keys": -0.22, "bass": 0.0, "drums": 0.06, "melody": 0.2, "pad": 0.0}
"""Where the stems stand, or mirrored: 0 in the middle, 1 at one side."""
RAIN_LEVEL, VINYL_LEVEL = 0.020, 0.010
"""Root mean square of the textures at strength 1, on a master at -16 LUFS."""


@cache
def _synthesizer(palette: str) -> tuple[tinysoundfont.Synth, int]:
    synthesizer = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=0)
    return synthesizer, synthesizer.sfload(str(SOUND_FONTS[palette]))


def _silence(synthesizer: tinysoundfont.Synth) -> None:
    """End every sound: what rings for some 20 ms after `sounds_off` is generated and dropped."""
    synthesizer.sounds_off()
    synthesizer.generate(RING_SAMPLES)


def sound_notes(notes: list[Note], palette: str, preset: int, samples: int) -> np.ndarray:
    """Render notes with one preset of a sound font."""
    synthesizer, font = _synthesizer(palette)
    _silence(synthesizer)
    synthesizer.program_select(0, font, 0, preset)
    events: list[tuple[int, int, Note]] = []
    for note in notes:
        start = int(note.start * SAMPLE_RATE)
        events.append((start, 1, note))
        events.append((start + int(note.length * SAMPLE_RATE), 0, note))
    events.sort(key=lambda event: event[:2])
    pieces: list[np.ndarray] = []
    now = 0
    for time, on, note in events:
        if min(time, samples) > now:
            pieces.append(np.frombuffer(synthesizer.generate(min(time, samples) - now), np.float32))
            now = min(time, samples)
        if on:
            synthesizer.noteon(0, note.key, note.velocity)
        else:
            synthesizer.noteoff(0, note.key)
    if samples > now:
        pieces.append(np.frombuffer(synthesizer.generate(samples - now), np.float32))
    return np.concatenate(pieces).reshape(-1, 2).T.copy()


@cache
def _drum_hit(palette: str, kit: int, key: int, velocity: int) -> np.ndarray:
    synthesizer, font = _synthesizer(palette)
    _silence(synthesizer)
    synthesizer.program_select(9, font, 128, kit, True)
    synthesizer.noteon(9, key, velocity)
    hit = np.frombuffer(synthesizer.generate(SAMPLE_RATE), np.float32).reshape(-1, 2).T.copy()
    _silence(synthesizer)
    return hit * np.minimum(1.0, np.linspace(8.0, 0.0, hit.shape[1], dtype=np.float32))


def sound_drums(notes: list[Note], palette: str, kit: int, samples: int) -> np.ndarray:
    track = np.zeros((2, samples + 2 * SAMPLE_RATE), np.float32)
    for note in notes:
        start = int(note.start * SAMPLE_RATE)
        if start < samples:
            hit = _drum_hit(palette, kit, note.key, max(8, note.velocity // 8 * 8))
            track[:, start : start + hit.shape[1]] += hit
    return track[:, :samples]


def sound_sub(notes: list[Note], samples: int) -> np.ndarray:
    """A sine bass with a touch of its octave."""
    track = np.zeros(samples, np.float32)
    for note in notes:
        start, length = int(note.start * SAMPLE_RATE), int((note.length + 0.06) * SAMPLE_RATE)
        length = min(length, samples - start)
        if length <= 0:
            continue
        time = np.arange(length) / SAMPLE_RATE
        pitch = 440 * 2 ** ((note.key + 12 - 69) / 12)
        tone = np.sin(2 * np.pi * pitch * time) + 0.2 * np.sin(4 * np.pi * pitch * time)
        envelope = np.minimum(1, time / 0.008) * np.minimum(1, (time[-1] - time) / 0.05)
        track[start : start + length] += (note.velocity / 127 * tone * envelope).astype(np.float32)
    return np.stack([track, track])


def _wide_chorus(stem: np.ndarray) -> np.ndarray:
    """A chorus whose delays move against each other on both sides."""
    return np.concatenate(
        [
            pedalboard.Chorus(rate_hz=rate, depth=0.14, centre_delay_ms=delay, mix=0.35)(
                np.ascontiguousarray(channel[None]), SAMPLE_RATE
            )
            for channel, rate, delay in zip(stem, (0.8, 0.67), (7.0, 9.0), strict=True)
        ]
    )


def _panned(stem: np.ndarray, position: float) -> np.ndarray:
    """Moved to one side at equal power; position from -1 (left) to 1."""
    angle = (position + 1) * np.pi / 4
    gains = np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]])
    return (stem * gains).astype(np.float32)


def _level(stem: np.ndarray, target: float) -> np.ndarray:
    """Bring a stem's loud half-seconds to a root mean square of `target`; silence stays silent."""
    if np.abs(stem).max(initial=0) < SILENT_BELOW:
        return np.zeros_like(stem)
    size = SAMPLE_RATE // 2
    power = np.array([np.mean(stem[:, i : i + size] ** 2) for i in range(0, stem.shape[1], size)])
    loud = power[power > 0.05 * power.max(initial=0)]
    return stem * np.float32(target / np.sqrt(loud.mean())) if loud.size else stem


def _ducking(kicks: list[Note], samples: int) -> np.ndarray:
    """Gain that dips at each kick and recovers over 110 ms."""
    impulses = np.zeros(samples, np.float32)
    for note in kicks:
        start = int(note.start * SAMPLE_RATE)
        if start < samples:
            impulses[start] = 1.0
    decay = float(np.exp(-1 / (0.11 * SAMPLE_RATE)))
    return 1 - 0.35 * np.minimum(1, lfilter([1.0], [1.0, -decay], impulses)).astype(np.float32)


def _wobble(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pitch of a worn tape: reads the audio up to 1.2 ms early or late at about 0.6 Hz."""
    time = np.arange(audio.shape[1]) / SAMPLE_RATE
    depth, rate, phase = rng.uniform(0.3e-3, 1.2e-3), rng.uniform(0.4, 0.8), rng.uniform(0, 6.28)
    position = (time + depth * np.sin(2 * np.pi * rate * time + phase)) * SAMPLE_RATE
    grid = np.arange(audio.shape[1])
    return np.stack([np.interp(position, grid, channel) for channel in audio]).astype(np.float32)


def perform(score: Score, seconds: float, seed: int) -> np.ndarray:
    """Play, mix and master a score without rain and vinyl: float32 [2, samples] at -16 LUFS."""
    rng = np.random.default_rng(seed)
    clock = Clock(score, rng)
    samples = round(seconds * SAMPLE_RATE)
    played, palette = score.attributes, score.attributes["palette"]
    drums = play_drums(score, clock)
    bass = play_bass(score, clock)
    melody = play_melody(score, clock)
    stems = {
        "keys": sound_notes(play_keys(score, clock), palette, PRESETS[played["keys"]], samples),
        "pad": sound_notes(play_pad(score, clock), palette, PRESETS["pad"], samples),
        "melody": sound_notes(melody, palette, PRESETS[played["lead"]], samples),
        "drums": sound_drums(drums, palette, DRUM_KITS[played["kit"]], samples),
        "bass": sound_sub(bass, samples)
        if played["bass"] == "sub bass"
        else sound_notes(bass, palette, PRESETS[played["bass"]], samples),
    }
    duck = _ducking([note for note in drums if note.key == KICK], samples)
    room = pedalboard.Reverb(
        room_size=float(rng.uniform(0.3, 0.5)), wet_level=0.16, dry_level=0.9, width=1.0
    )
    side = rng.choice([-1.0, 1.0])
    mix = np.zeros((2, samples), np.float32)
    for name, stem in stems.items():
        stem = _level(stem, STEM_LEVELS[name] * rng.uniform(0.85, 1.15))
        if name in ("keys", "pad", "bass"):
            stem = stem * duck
        if name == "pad" or (name == "keys" and played["keys"] in ("electric piano", "guitar")):
            stem = _wide_chorus(stem)
        stem = _panned(stem, side * PANS[name])
        if name in ("keys", "melody"):
            stem = room(stem, SAMPLE_RATE)
        mix += stem
    cutoff = rng.uniform(4500, 6500) if played["tone"] == "dark" else rng.uniform(9500, 13000)
    mix = sosfilt(butter(2, cutoff, fs=SAMPLE_RATE, output="sos"), mix).astype(np.float32)
    mix = sosfilt(butter(2, 28, "highpass", fs=SAMPLE_RATE, output="sos"), mix).astype(np.float32)
    return master(_wobble(np.tanh(1.5 * mix) / 1.5, rng))


def master(audio: np.ndarray) -> np.ndarray:
    """Loudness to -16 LUFS, peaks held at -1 dB; silence stays silence."""
    if not audio.any():
        return audio
    measured = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(audio.T)
    gain = 10 ** ((LOUDNESS_LUFS - measured) / 20)
    limiter = pedalboard.Limiter(threshold_db=-1.0, release_ms=80)
    limited = limiter((audio * gain).astype(np.float32), SAMPLE_RATE)
    return np.clip(limited, -0.891, 0.891)


def rain(samples: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Steady rain: band-shaped noise on both sides, with droplets."""
    noise = rng.standard_normal((2, samples)).astype(np.float32)
    band = butter(2, (500, 9000), "bandpass", fs=SAMPLE_RATE, output="sos")
    low = butter(1, 900, fs=SAMPLE_RATE, output="sos")
    bed = sosfilt(band, noise) + 0.6 * sosfilt(low, noise)
    drops = (rng.random((2, samples)) < 40 / SAMPLE_RATE) * rng.exponential(1.0, (2, samples))
    ring = lfilter([1.0], [1.0, -1.6, 0.8], drops * 12)
    rained = bed + ring
    return (strength * RAIN_LEVEL * rained / np.sqrt(np.mean(rained**2))).astype(np.float32)


def vinyl(samples: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A record's surface: quiet hiss and nine crackles a second."""
    hiss = rng.standard_normal((2, samples))
    hiss = sosfilt(butter(1, (1000, 8000), "bandpass", fs=SAMPLE_RATE, output="sos"), hiss)
    hiss /= np.sqrt(np.mean(hiss**2))
    clicks = (rng.random(samples) < 9 / SAMPLE_RATE) * rng.exponential(1.0, samples)
    crackle = sosfilt(butter(2, (900, 6000), "bandpass", fs=SAMPLE_RATE, output="sos"), clicks)
    crackle = crackle / np.sqrt(np.mean(crackle**2) + 1e-12)
    sides = np.stack([crackle, 0.8 * crackle])
    return (strength * VINYL_LEVEL * (0.45 * hiss + 0.9 * sides)).astype(np.float32)


def add_textures(
    audio: np.ndarray, score: Score, strengths: dict[str, float], seed: int
) -> np.ndarray:
    """Rain and vinyl over a performance, as the score asks, and back to the target loudness."""
    rng = np.random.default_rng([seed, 1])
    if score.attributes["rain"] == "rain":
        audio = audio + rain(audio.shape[1], strengths["rain"], rng)
    if score.attributes["vinyl"] == "vinyl":
        audio = audio + vinyl(audio.shape[1], strengths["vinyl"], rng)
    return master(audio)
