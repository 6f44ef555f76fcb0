"""A track as a picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.picture import peaks, png, spectrogram, terminal_picture


def tone(frequency: float) -> AudioClip:
    time = np.arange(48000) / 48000
    return AudioClip(np.stack([0.5 * np.sin(2 * np.pi * frequency * time)] * 2).astype("f"), 48000)


def test_a_higher_tone_is_drawn_higher() -> None:
    rows = [int(spectrogram(tone(f), 8, 100).mean(axis=1).argmax()) for f in (100, 1000, 10000)]
    assert rows[0] > rows[1] > rows[2]


def test_peaks_follow_the_level() -> None:
    clip = AudioClip(np.repeat([[0.1, 0.9, 0.5]], 2, axis=0).repeat(50, axis=1).astype("f"), 48000)
    np.testing.assert_allclose(peaks(clip, 3), [0.1, 0.9, 0.5], rtol=1e-6)


def test_the_png_is_as_large_as_asked_and_shows_something() -> None:
    image = np.asarray(Image.open(io.BytesIO(png(tone(440), width=300, height=120))))
    assert image.shape == (120, 300, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10


def test_without_colours_only_the_waveform_is_drawn() -> None:
    assert len(terminal_picture(tone(440), columns=40, coloured=False).plain.splitlines()) == 1
    assert len(terminal_picture(tone(440), columns=40, rows=5).plain.splitlines()) == 6
