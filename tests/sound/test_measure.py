"""A file read in blocks is found to be what it is as a whole."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.loudness import integrated_loudness, true_peak, waveform_peaks
from lofi_daemon.sound.measure import Abandoned, estimated_loudness, measure
from tests.player.signals import flac_of_unknown_length, music, write


def test_blocks_tell_what_the_whole_tells(tmp_path: Path) -> None:
    sound = music(13.37)
    sound[: 5 * 44100] *= 0.1
    clip = AudioClip(np.ascontiguousarray(sound.T), 44100)
    measured = measure(write(tmp_path / "a.wav", sound))
    assert measured.duration_sec == pytest.approx(13.37)
    assert measured.loudness_lufs == integrated_loudness(clip)
    assert measured.true_peak == pytest.approx(true_peak(clip), rel=1e-3)
    # points are cut at tenths of a second here
    difference = np.abs(np.subtract(measured.waveform, waveform_peaks(clip)))
    assert np.sort(difference)[-2] < 0.1


def test_a_length_that_nobody_wrote_down_is_found(tmp_path: Path) -> None:
    path = flac_of_unknown_length(tmp_path / "a.flac", music(5.0))
    assert measure(path).duration_sec == pytest.approx(5.0)
    assert estimated_loudness(path) == pytest.approx(measure(path).loudness_lufs, abs=0.5)


def test_stretches_come_close_to_the_whole(tmp_path: Path) -> None:
    sound = music(120.0)
    sound[: 30 * 44100] *= 0.05
    path = write(tmp_path / "a.wav", sound)
    assert estimated_loudness(path) == pytest.approx(measure(path).loudness_lufs, abs=1.0)


def test_silence_and_next_to_nothing_have_no_loudness(tmp_path: Path) -> None:
    nothing = write(tmp_path / "a.wav", music(1.0) * 0)
    assert measure(nothing).loudness_lufs is None
    assert estimated_loudness(nothing) is None
    assert measure(write(tmp_path / "b.wav", music(0.01))).loudness_lufs is None


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 2, subtype="PCM_16") as file:
        for _ in range(10):
            file.write(music(60.0, 8000))
    tracemalloc.start()
    measure(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8_000_000


def test_what_nobody_wants_to_know_any_more_is_left(tmp_path: Path) -> None:
    asked = iter([True, False])
    with pytest.raises(Abandoned):
        measure(write(tmp_path / "a.wav", music(10.0)), lambda: next(asked))
