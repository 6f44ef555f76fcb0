"""Held partials at the borders of the vocoder's windows, against the same partials elsewhere.

`python -m scripts.train_demo.seams BUNDLE`: a chord of steady partials goes through the bundle's
own decoder as its true spectrum. A border is heard where a partial's level leaves its mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.backends.kit.mel_diffusion.decode import LatentDecoder
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

from .spectrum import FIRST, HOP, SAMPLE_RATE, SECOND, log_spectrum

PARTIALS_HZ = (110.0, 164.8, 220.0, 261.6, 329.6, 392.0, 493.9, 659.3, 880.0, 1318.5)
SECONDS = 36.0
BLOCK_SEC = 0.1
EDGE_SEC = 0.5


def held_chord(seconds: float) -> np.ndarray:
    """Steady partials of equal level: float32 [2, samples]."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    rng = np.random.default_rng(0)
    mono = sum(np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6)) for hertz in PARTIALS_HZ)
    return np.stack([mono, mono]).astype(np.float32) * np.float32(0.05)


def partial_levels(audio: np.ndarray, hertz: float) -> np.ndarray:
    """Level in dB of one partial in every block of `BLOCK_SEC` of audio [samples]."""
    time = np.arange(len(audio)) / SAMPLE_RATE
    shifted = audio * np.exp(-2j * np.pi * hertz * time)
    size = round(BLOCK_SEC * SAMPLE_RATE)
    window = np.hanning(2 * size)
    starts = range(0, len(audio) - 2 * size, size)
    found = [abs(np.dot(shifted[start : start + 2 * size], window)) for start in starts]
    return 20 * np.log10(np.array(found) / window.sum() + 1e-9)


def largest_deviations(audio: np.ndarray) -> dict[float, float]:
    """By partial, how far in dB its level ever is from its median, the track's ends left out."""
    edge = round(EDGE_SEC / BLOCK_SEC)
    found: dict[float, float] = {}
    for hertz in PARTIALS_HZ:
        levels = partial_levels(audio.mean(axis=0), hertz)[edge:-edge]
        found[hertz] = float(np.abs(levels - np.median(levels)).max())
    return found


def through_decoder(bundle: Path, audio: np.ndarray) -> np.ndarray:
    decoder = LatentDecoder(bundle, read_manifest(bundle), SessionSettings(threads=1))
    frames = audio.shape[1] // HOP
    # The first edition hands on two ranges, the second three.
    front_end = FIRST if decoder.ranges_handed_on == 2 else SECOND
    mel = log_spectrum(torch.from_numpy(audio), front_end)[..., :frames].numpy()
    pieces = decoder.waveform(mel, lambda done: None, CancelToken())
    return np.concatenate(list(pieces), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = largest_deviations(through_decoder(arguments.bundle, held_chord(SECONDS)))
    for hertz, deviation in found.items():
        print(f"{hertz:7.1f} Hz: {deviation:5.2f} dB")
    print(f"largest: {max(found.values()):.2f} dB")


if __name__ == "__main__":
    main()
