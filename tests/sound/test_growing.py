"""A file that is read while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.sound.growing import GrowingFile, as_bytes
from lofi_daemon.sound.growth import Growth

RATE = 1000


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.9, 0.9, (2, frames)).astype(np.float32)


def grow(path: Path, samples: np.ndarray) -> None:
    with path.open("ab") as file:
        file.write(as_bytes(samples))


def test_what_is_there_can_be_read_and_the_rest_later(tmp_path: Path) -> None:
    samples, path = noise(5000), tmp_path / "growing"
    grow(path, samples[:, :3000])
    file = GrowingFile(path, Growth(RATE, 2, 5000))
    assert (file.samplerate, file.channels, file.known_frames) == (RATE, 2, 5000)
    first = file.read_block(4000)
    assert first.shape == (3000, 2)
    assert not file.is_over
    assert file.read_block(4000).shape == (0, 2)
    grow(path, samples[:, 3000:])
    second = file.read_block(4000)
    assert file.is_over
    np.testing.assert_allclose(np.concatenate([first, second]), samples.T, atol=2e-5)


def test_half_a_frame_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(as_bytes(noise(10)) + b"\x01\x02\x03")
    file = GrowingFile(path, Growth(RATE, 2, 20))
    assert file.frames_there == 10
    assert file.read_block(100).shape == (10, 2)


def test_a_seek_beyond_what_is_there_ends_a_second_before_it(tmp_path: Path) -> None:
    samples, path = noise(5000), tmp_path / "growing"
    grow(path, samples[:, :3000])
    file = GrowingFile(path, Growth(RATE, 2, 5000))
    assert file.seek(1500) == 1500
    assert file.seek(4500) == 2000
    np.testing.assert_allclose(file.read_block(10), samples.T[2000:2010], atol=2e-5)
    grow(path, samples[:, 3000:])
    assert file.seek(4500) == 4500
    assert file.seek(9000) == 4999


def test_a_file_that_is_gone_is_an_error_of_playing(tmp_path: Path) -> None:
    with pytest.raises(AudioPlaybackError, match="cannot be read on"):
        GrowingFile(tmp_path / "no", Growth(RATE, 2, 10))
    grow(tmp_path / "a", noise(10))
    file = GrowingFile(tmp_path / "a", Growth(RATE, 2, 10))
    file.close()
    with pytest.raises(AudioPlaybackError):
        file.read_block(5)


@pytest.mark.skipif(os.name != "posix", reason="has no FIFOs")
def test_a_fifo_in_its_place_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(AudioPlaybackError, match="not a file"):
        GrowingFile(tmp_path / "fifo", Growth(RATE, 2, 10))


def test_what_is_over_full_scale_is_clipped() -> None:
    loud = np.array([[2.0, -2.0]], np.float32)
    assert np.frombuffer(as_bytes(loud), "<i2").tolist() == [32767, -32767]
