"""What can be heard of a piece, measured on its sound alone: tempo, pitch classes, drums.

Sound is float [channels, samples] at 48 kHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft

from lofi_daemon.backends.demo.score import LATENT_RATE, Score
from tests.studio import RATE

Sound = NDArray[np.float64]

HOP = 256
SLOWEST, FASTEST = 62.0, 103.0
LOWEST_HZ, HIGHEST_HZ = 110.0, 1000.0
DRUMS_HZ = 5000.0


def _power(sound: Sound, window: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies, and energies [frequencies, blocks] of HOP samples, all channels together."""
    hertz, _, spectra = stft(sound.mean(axis=0), RATE, nperseg=window, noverlap=window - HOP)
    return hertz, np.square(np.abs(spectra))


def onsets(sound: Sound) -> NDArray[np.float64]:
    """How much comes up in each block, in logarithmic levels of all the spectrum's bins."""
    _, power = _power(sound, 1024)
    levels = np.log(power + 1e-8)
    return np.maximum(np.diff(levels, axis=1), 0.0).mean(axis=0)


def beats_per_minute(sound: Sound) -> float:
    """The tempo between SLOWEST and FASTEST at which beats, pairs of them and bars recur most."""
    rises = onsets(sound)
    rises -= rises.mean()
    correlation = np.correlate(rises, rises, "full")[len(rises) - 1 :]
    correlation /= len(rises) - np.arange(len(rises))
    lags = np.arange(len(rises))
    tempos = np.arange(SLOWEST, FASTEST, 0.1)
    beats = 60.0 * RATE / HOP / tempos
    found = sum(np.interp(beats * many, lags, correlation) for many in (1, 2, 4))
    return float(tempos[np.argmax(found)])


def pitch_classes(sound: Sound) -> NDArray[np.float64]:
    """The share of each of the twelve pitch classes (C first) in the energy of the middle."""
    hertz, power = _power(sound, 16384)
    within = (hertz >= LOWEST_HZ) & (hertz <= HIGHEST_HZ)
    semitones = np.round(12 * np.log2(hertz[within] / 261.6256)).astype(int) % 12
    energy = np.bincount(semitones, power[within].sum(axis=1), 12)
    return energy / energy.sum()


def transposed_by(sound: Sound, other: Sound) -> int:
    """By how many semitones the one has to be raised to sound most like the other: -5 to 6."""
    one, two = (np.sqrt(pitch_classes(each)) for each in (sound, other))
    likeness = [float(np.roll(one, steps) @ two) for steps in range(12)]
    steps = int(np.argmax(likeness))
    return steps if steps <= 6 else steps - 12


def planned_key_found_at(sound: Sound, score: Score, first_bar: int = 0) -> int:
    """By how many semitones the score has to be raised so that its chords are what is heard most.

    sound: from that bar of the score on. Energy on the tones of the chord of each half bar against
    that on the others; the median of all half bars.
    """
    half = score.bar_frames / LATENT_RATE / 2
    chords = [chord for bar in score.bars[first_bar:] for chord in bar.chords]
    found: list[NDArray[np.float64]] = []
    for index, chord in enumerate(chords):
        begin, end = (round(place * half * RATE) for place in (index, index + 1))
        if end > sound.shape[1]:
            break
        energy = pitch_classes(sound[:, begin:end])
        on = np.isin(np.arange(12), chord.pitch_classes)
        ratios = [
            np.roll(energy, -steps)[on].mean() / np.roll(energy, -steps)[~on].mean()
            for steps in range(12)
        ]
        found.append(np.array(ratios))
    steps = int(np.argmax(np.median(found, axis=0)))
    return steps if steps <= 6 else steps - 12


def drums_db(sound: Sound) -> float:
    """How strongly hits come up above DRUMS_HZ: the mean of the strongest tenth of all rises."""
    hertz, power = _power(sound, 1024)
    levels = np.sqrt(power[hertz >= DRUMS_HZ].sum(axis=0))
    rises = np.maximum(np.diff(levels), 0.0)
    strongest = np.sort(rises)[-len(rises) // 10 :]
    return float(20 * np.log10(strongest.mean() + 1e-9))


def brightness_db(sound: Sound) -> float:
    """Energy above 2 kHz against all of it."""
    hertz, power = _power(sound, 2048)
    return float(10 * np.log10(power[hertz >= 2000.0].sum() / power.sum()))
