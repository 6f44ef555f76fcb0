"""Sounds to play and ways to find them again in a recording. Arrays are float32 [frames, 2]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Signal = NDArray[np.float32]


def music(seconds: float, sample_rate: int = 44100, seed: int = 0) -> Signal:
    """Chords that change, with some noise: no stretch of it sounds like another."""
    generator = np.random.default_rng(seed)
    frames = round(seconds * sample_rate)
    time = np.arange(frames) / sample_rate
    sound = 0.02 * generator.standard_normal((frames, 2))
    for _ in range(6):
        pitch, drift, phase = generator.uniform((80, 0.1, 0), (600, 0.9, 6))
        tone = np.sin(2 * np.pi * pitch * time + 3 * np.sin(2 * np.pi * drift * time) + phase)
        sound += 0.07 * tone[:, None] * generator.uniform(0.5, 1.0, 2)
    return sound.astype(np.float32)


def write(path: Path, signal: Signal, sample_rate: int = 44100) -> Path:
    soundfile.write(path, signal, sample_rate, subtype="FLOAT")
    return path


def find(recording: Signal, reference: Signal) -> int:
    """The frame of `recording` at which `reference` begins, by cross-correlation."""
    size = 1 << (len(recording) + len(reference)).bit_length()
    spectrum = np.fft.rfft(recording.mean(1), size)
    spectrum *= np.conj(np.fft.rfft(reference.mean(1), size))
    correlation = np.fft.irfft(spectrum, size)
    return int(np.argmax(correlation[: len(recording)]))


def signal_to_error_db(actual: Signal, expected: Signal) -> float:
    assert actual.shape == expected.shape, f"{actual.shape} is not {expected.shape}"
    error = float(np.square(actual.astype(np.float64) - expected).sum())
    power = float(np.square(expected.astype(np.float64)).sum())
    return 10 * np.log10(power / max(error, 1e-30))


def silences(recording: Signal, sample_rate: int, longer_than_sec: float) -> list[tuple[int, int]]:
    """Stretches of exact silence (start and end frame) of more than that length."""
    silent = np.concatenate(([False], np.abs(recording).max(axis=1) < 1e-7, [False]))
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    return [
        (int(start), int(end))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if end - start > longer_than_sec * sample_rate
    ]


def flac_of_unknown_length(path: Path, signal: Signal, sample_rate: int = 44100) -> Path:
    """As an encoder writes it into a pipe: the header's count of samples and checksum are zero."""
    soundfile.write(path, signal, sample_rate)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:42] = bytes(20)
    path.write_bytes(data)
    return path
