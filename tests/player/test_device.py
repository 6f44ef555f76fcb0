"""Recordings in the place of a device, and names of devices as the system has them."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.errors import AudioDeviceError
from lofi_daemon.player.device import Device, list_devices, open_device
from lofi_daemon.player.mixer import Block
from tests.player.pulse import PulseServer

PATIENCE_SEC = 20.0


def ones(frames: int) -> Block:
    return np.ones((frames, 2), np.float32)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def recorded(device: Device, path: Path) -> Block:
    device.start(ones)
    wait_until(lambda: path.stat().st_size > 4096)
    device.close()
    return soundfile.read(path, dtype="float32")[0]


def test_what_would_be_heard_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    heard = recorded(open_device(f"file:{path}"), path)
    assert len(heard) > 400
    assert (heard == 1.0).all()


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious.wav"
    path.write_bytes(b"precious")
    with pytest.raises(AudioDeviceError, match="not overwritten"):
        open_device(f"file:{path}")
    recorded(open_device(f"file:{path}", again=True), tmp_path / "precious-2.wav")
    assert path.read_bytes() == b"precious"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(AudioDeviceError):
        open_device(f"file:{tmp_path}/link.wav")
    assert not (tmp_path / "elsewhere.wav").exists()


def test_what_cannot_be_recorded_into_says_so_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name in (tmp_path, tmp_path / "fifo", "/dev/full", tmp_path / "no" / "x.wav", "",
                 tmp_path / "file" / "x.wav", tmp_path / ("x" * 300), "a\0b"):  # fmt: skip
        with pytest.raises(AudioDeviceError) as error:
            open_device(f"file:{name}")
        assert "recording" in error.value.message


def test_a_recording_that_breaks_off_is_a_device_that_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = open_device(f"file:{tmp_path}/heard.wav")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        device.start(ones)
        wait_until(lambda: device.lost)
        device.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "heard.wav" in caplog.text


def test_a_device_whose_name_is_cut_inside_a_character_can_be_chosen(pulse: PulseServer) -> None:
    description = f"sink_properties=device.description={'ü' * 140}"
    pulse.control("load-module", "module-null-sink", "sink_name=umlauts", description)
    try:
        names = [device.name for device in list_devices()]
        assert "lofi_test" in names
        (cut,) = [name for name in names if name.startswith("ü")]
        assert set(cut) == {"ü"}
        open_device(cut).close()
    finally:
        pulse.unload_sink("umlauts")
