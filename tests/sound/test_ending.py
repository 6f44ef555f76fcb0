"""Where a sound turns to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.sound.ending import full_until

RATE = 8000


def written(folder: Path, level: np.ndarray) -> Path:
    """Noise with a level for each second between which it goes on a line."""
    path = folder / "sound.wav"
    generator = np.random.default_rng(0)
    seconds = np.arange((len(level) - 1) * RATE) / RATE
    sound = (
        0.1 * generator.standard_normal(len(seconds)) * np.interp(seconds, range(len(level)), level)
    )
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


def test_a_sound_that_does_not_end_is_full_to_its_end(tmp_path: Path) -> None:
    assert full_until(written(tmp_path, np.ones(21))) == pytest.approx(20.0, abs=0.11)


@pytest.mark.parametrize(
    ("ending", "left"), [([1, 0.5, 0, 0], 19.0), ([0, 0, 0, 0], 17.5), ([1, 1, 0.2, 0.1], 19.5)]
)
def test_a_fade_an_echo_and_silence_are_left_out(
    tmp_path: Path, ending: list[float], left: float
) -> None:
    level = np.concatenate([np.ones(18), ending])
    assert full_until(written(tmp_path, level)) == pytest.approx(left, abs=0.6)


def test_a_quiet_break_before_the_end_is_none(tmp_path: Path) -> None:
    level = np.concatenate([np.ones(8), np.full(4, 0.1), np.ones(9)])
    assert full_until(written(tmp_path, level)) == pytest.approx(20.0, abs=0.11)


def test_half_of_it_is_always_left(tmp_path: Path) -> None:
    level = np.concatenate([np.ones(5), np.zeros(4), np.full(12, 0.01)])
    assert full_until(written(tmp_path, level)) >= 10.0


def test_what_is_shorter_than_a_second_is_full(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.full(RATE // 2, 0.1), RATE)
    assert full_until(path) == pytest.approx(0.5)
