"""What a listener notices first, as figures: attacks, leads, the start, the width, what recurs.

Audio is float32 [2, samples] at 44.1 kHz.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt, stft

from lofi_daemon.backends.demo.score import HAT, LATENT_RATE, SNARE, Score

SAMPLE_RATE = 44100
SPAN_SEC = 0.06
"""How far from its written time a hit is looked for: swing, and a player's jitter."""
WIDTH_BANDS_HZ = ((120, 1000), (1000, 4000), (4000, 8000))
RECURRENCE_FROM_SEC = 0.7


def _decibels(power: float) -> float:
    return float(10 * np.log10(power + 1e-12))


def lead_spread(audio: np.ndarray, score: Score) -> float | None:
    """Standard deviation in dB of the level of bars with a melody; None with fewer than three."""
    samples = score.bar_frames * SAMPLE_RATE / LATENT_RATE
    levels: list[float] = []
    for index, bar in enumerate(score.bars):
        begin, end = round(index * samples), round((index + 1) * samples)
        # The last two seconds fade.
        if "melody" in bar.parts and end < audio.shape[1] - 2 * SAMPLE_RATE:
            levels.append(_decibels(float(np.mean(audio[:, begin:end] ** 2))))
    return float(np.std(levels)) if len(levels) >= 3 else None


def start_level(audio: np.ndarray) -> float:
    """Level of the first 60 ms in dB against that of the following 0.3 s."""
    first, after = round(0.06 * SAMPLE_RATE), round(0.36 * SAMPLE_RATE)
    return _decibels(float(np.mean(audio[:, :first] ** 2))) - _decibels(
        float(np.mean(audio[:, first:after] ** 2))
    )


def hit_times(score: Score) -> list[float]:
    """Seconds of the written hits of hats and snares before which an eighth is empty."""
    sixteenth = score.bar_frames / LATENT_RATE / 16
    steps = [step for bar in score.bars if bar.notes is not None for step in bar.notes.drums]
    return [
        at * sixteenth
        for at, hits in enumerate(steps)
        if hits & (HAT | SNARE) and not any(steps[max(0, at - 1) : at])
    ]


def bright_envelope(audio: np.ndarray) -> np.ndarray:
    """Envelope of 3 to 12 kHz, both sides together, smoothed over 1 ms."""
    band = butter(4, (3000, 12000), "bandpass", fs=SAMPLE_RATE, output="sos")
    power = (sosfiltfilt(band, audio, axis=1) ** 2).mean(axis=0)
    size = SAMPLE_RATE // 1000
    return np.sqrt(np.convolve(power, np.ones(size) / size, "same") + 1e-14)


def attacks(audio: np.ndarray, times: list[float]) -> tuple[float, float] | None:
    """Medians over hits: rise from a tenth to nine tenths in ms, and the pre-echo in dB.

    The pre-echo is the energy 30 to 10 ms before a hit against that of its first 20 ms. None where
    there is no hit.
    """
    envelope = bright_envelope(audio)
    rises: list[float] = []
    echoes: list[float] = []
    millisecond = SAMPLE_RATE // 1000
    for time in times:
        begin = round((time - SPAN_SEC) * SAMPLE_RATE)
        end = round((time + 2 * SPAN_SEC) * SAMPLE_RATE)
        if begin < 60 * millisecond or end > len(envelope):
            continue
        peak = begin + int(np.argmax(envelope[begin:end]))
        rising = envelope[peak - 50 * millisecond : peak + 1]
        high = _last_below(rising, 0.9 * envelope[peak])
        low = _last_below(rising[: high + 1], 0.1 * envelope[peak])
        rises.append((high - low) / millisecond)
        onset = peak - 50 * millisecond + low
        before = envelope[max(0, onset - 30 * millisecond) : onset - 10 * millisecond]
        after = envelope[onset : onset + 20 * millisecond]
        echoes.append(_decibels(float(np.mean(before**2))) - _decibels(float(np.mean(after**2))))
    if not rises:
        return None
    return float(np.median(rises)), float(np.median(echoes))


def _last_below(values: np.ndarray, threshold: float) -> int:
    below = np.flatnonzero(values < threshold)
    return int(below[-1]) if below.size else 0


def width(audio: np.ndarray) -> dict[str, tuple[float, float]]:
    """By band: root mean square of the phase difference of both sides in degrees (weighted by
    energy), and the correlation of both sides."""
    frequencies, _, spectra = stft(audio, SAMPLE_RATE, nperseg=2048)
    found: dict[str, tuple[float, float]] = {}
    for low, high in WIDTH_BANDS_HZ:
        left, right = spectra[:, (frequencies >= low) & (frequencies < high)]
        cross = left * np.conj(right)
        weight = np.abs(cross)
        phase = np.sqrt(np.sum(weight * np.angle(cross) ** 2) / (weight.sum() + 1e-12))
        power = np.sqrt(np.sum(np.abs(left) ** 2) * np.sum(np.abs(right) ** 2))
        correlation = np.real(cross.sum()) / (power + 1e-12)
        found[f"{low}-{high} Hz"] = (float(np.degrees(phase)), float(correlation))
    return found


def recurrence(levels: np.ndarray, frames_per_sec: float = SAMPLE_RATE / 512) -> float:
    """Largest autocorrelation of log levels [bands, M] at any lag from 0.7 s."""
    centred = levels - levels.mean(axis=1, keepdims=True)
    count = centred.shape[1]
    spectrum = np.fft.rfft(centred, 2 * count)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, :count].sum(axis=0)
    return float(correlation[round(RECURRENCE_FROM_SEC * frames_per_sec) :].max() / correlation[0])
