"""The band's studio; needs the sound fonts and the libraries of training."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tinysoundfont")
pytest.importorskip("pedalboard")

from scripts.train_demo import studio
from scripts.train_demo.players import Note

if not all(path.exists() for path in studio.SOUND_FONTS.values()):
    pytest.skip("the sound fonts are not installed", allow_module_level=True)


def test_a_stem_that_nobody_plays_is_silent_after_one_that_rang() -> None:
    loud = studio.sound_notes([Note(60, 120, 0.0, 5.0)], "fluid", 0, 22050)
    assert np.abs(loud).max() > 0.01
    nobody = studio.sound_notes([], "fluid", 73, 22050)
    assert np.abs(studio._level(nobody, 0.06)).max() == 0
    assert np.abs(nobody).max() < studio.SILENT_BELOW


def test_a_scrap_is_not_brought_to_full_level() -> None:
    scrap = np.zeros((2, 44100), np.float32)
    scrap[:, :400] = 0.9 * studio.SILENT_BELOW
    assert not studio._level(scrap, 0.06).any()
