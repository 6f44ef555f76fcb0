"""Measures the tone correction: a fixed equaliser that gives generated tracks the data's balance.

The sharpener's spectra are less peaky than real ones, and average band magnitudes of smooth
spectra carry less power. The correction is the difference of the average power spectra (in log mel
bands) of the band and of the model playing the same scores, of prompts no measurement uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import numpy as np
import torch

from .metrics import SPECTRUM_BANDS, spectrum_statistics
from .prompts import requests
from .spectrum import SECOND, row_centres
from .tracks import Studio

DECIBELS_PER_NAT = 20 / np.log(10)


def balance(clips: list[np.ndarray]) -> np.ndarray:
    """Average level in dB of each mel band."""
    levels = [spectrum_statistics(clip)[:SPECTRUM_BANDS] for clip in clips]
    return np.mean(levels, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("output", type=Path, help="tone.npy: nats to add to each hybrid band")
    parser.add_argument("--tracks", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    studio = Studio(arguments.bundle, threads=1)
    asked = requests(arguments.tracks, seed=31)
    made = balance([studio.make("generated", each).audio for each in asked])
    played = balance([studio.make("held_out", each).audio for each in asked])
    difference = played - made
    centres = librosa.mel_frequencies(SPECTRUM_BANDS + 2, fmin=0, fmax=14000)[1:-1]
    tone = np.interp(row_centres(SECOND), centres, difference) / DECIBELS_PER_NAT
    np.save(arguments.output, (tone - tone.mean()).astype(np.float32))
    print(np.round(difference, 1))


if __name__ == "__main__":
    main()
