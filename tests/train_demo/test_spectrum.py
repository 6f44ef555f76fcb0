"""The front ends: 128 rows, semitones apart below, and hits where they are above."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.train_demo.spectrum import (
    BANDS,
    FIRST,
    HOP,
    SAMPLE_RATE,
    SECOND,
    FrontEnd,
    log_spectrum,
    row_centres,
)


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return torch.tensor(np.sin(2 * np.pi * hertz * time)[None], dtype=torch.float32)


@pytest.mark.parametrize("front_end", [FIRST, SECOND])
def test_a_front_end_has_128_rows(front_end: FrontEnd) -> None:
    assert sum(each.rows for each in front_end) == BANDS
    assert log_spectrum(torch.zeros(2, 20 * HOP), front_end).shape == (2, BANDS, 20)
    for each in front_end:
        np.testing.assert_allclose(each.matrix.sum(axis=1), 1)


@pytest.mark.parametrize("front_end", [FIRST, SECOND])
@pytest.mark.parametrize("hertz", [262.0, 440.0, 1500.0, 5000.0])
def test_a_tone_is_loudest_in_its_own_row(front_end: FrontEnd, hertz: float) -> None:
    levels = log_spectrum(tone(hertz), front_end)[0].mean(dim=1).numpy()
    centre = row_centres(front_end)[levels.argmax()]
    assert abs(centre / hertz - 1) < 0.1


def test_neighbouring_semitones_lie_in_different_rows() -> None:
    semitones = [220 * 2 ** (step / 12) for step in range(12)]
    loudest = [int(log_spectrum(tone(hertz))[0].mean(dim=1).argmax()) for hertz in semitones]
    assert len(set(loudest)) == len(loudest)


def test_the_upper_rows_tell_the_halves_of_a_frame_apart() -> None:
    high = SECOND[-1]
    audio = torch.zeros(1, 40 * HOP)
    audio[0, 20 * HOP + HOP // 2] = 1.0  # in the middle of frame 20: its second value
    rows = log_spectrum(audio)[0, -high.rows :].reshape(2, high.bands, -1)
    first, second = rows[0, :, 20].mean(), rows[1, :, 20].mean()
    assert second > first + 1.0
    assert (rows[:, :, :18] < -9).all()
