"""Full disks, forbidden folders, kills in the middle of a write, two daemons on one folder."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from lofi_daemon.tracks import TrackCache
from tests.daemon_process import DaemonProcess

TONE = {"demo": {}}


def check_folder(folder: Path) -> int:
    """Whatever looks like a track is one: readable to its end, as its sidecar says."""
    cache = TrackCache(folder, 1)
    tracks = {track.track_id: track for track in cache.tracks()}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        assert re.fullmatch(r"[0-9a-f]{16}\.(wav|flac|json)", path.name)
        if path.suffix == ".json":
            assert path.stem in tracks
        else:
            samples, _ = soundfile.read(path, dtype="int16")
            if path.stem in tracks:
                assert len(samples) == tracks[path.stem].duration_sec * 48000
    return len(tracks)


@pytest.mark.parametrize("track_format", ["wav16", "flac"])
def test_killed_while_writing(tmp_path: Path, track_format: str) -> None:
    """At every instant there is a whole track or none; the next start sweeps the rest."""
    chance = random.Random(track_format)
    environment = {"LOFI_TRACK_FORMAT": track_format}
    for seed in range(4):
        with DaemonProcess(tmp_path, backends=TONE, environment=environment) as daemon:
            for number in range(2):
                daemon.call("generate", prompt="rain", duration_sec=60, seed=2 * seed + number)
            daemon.notification("generation_progress", phase="writing")
            time.sleep(chance.uniform(0.0, 0.2))
            daemon.kill()
        check_folder(daemon.tracks_folder)
    with DaemonProcess(tmp_path, backends=TONE) as daemon:
        daemon.request("ping")
        deadline = time.monotonic() + 10
        while list(daemon.tracks_folder.glob(".*.partial")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert daemon.close() == 0
    assert list(daemon.tracks_folder.glob(".*.partial")) == []
    tracks = check_folder(daemon.tracks_folder)
    names = {path.name for path in daemon.tracks_folder.iterdir()} - {".lock"}
    assert len(names) == 2 * tracks  # no audio without its sidecar


def failed_write(daemon: DaemonProcess, **params: object) -> dict[str, object]:
    track_id = daemon.request("generate", prompt="rain", **params)["track_id"]
    error = daemon.final(track_id)
    assert error["method"] == "generation_error"
    assert error["params"]["code"] == "CACHE_WRITE_FAILED"
    assert str(daemon.tracks_folder) in error["params"]["message"]
    assert daemon.request("tracks_list") == {"tracks": [], "total": 0}
    return error["params"]


@pytest.mark.parametrize("track_format", ["wav16", "wav24", "flac"])
def test_a_file_that_may_not_grow(tmp_path: Path, track_format: str) -> None:
    """The same failure as a full disk, wherever the tests run: a limit on the file's size."""
    limit = (
        "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000));"
        "sys.argv = ['tests.tone_daemon', '{\"demo\": {}}'];"
        "runpy.run_module('tests.tone_daemon', run_name='__main__')"
    )
    command = [sys.executable, "-c", limit]
    environment = {"LOFI_TRACK_FORMAT": track_format}
    with DaemonProcess(tmp_path, command=command, environment=environment) as daemon:
        message = failed_write(daemon, duration_sec=20)["message"]
        assert re.search(r"\d+ bytes are needed, \d+ are free", str(message))
        assert {path.name for path in daemon.tracks_folder.iterdir()} <= {".lock"}
        assert daemon.request("ping")["status"] == "ok"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)],
        check=True,
        capture_output=True,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder) / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


if may_mount():  # elsewhere the limit on the file's size above has to do

    def test_a_full_disk(tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            environment = {"LOFI_CACHE_PATH": str(disk / "tracks")}
            with DaemonProcess(tmp_path, backends=TONE, environment=environment) as daemon:
                daemon.tracks_folder = disk / "tracks"
                failed_write(daemon, duration_sec=60)
                assert {path.name for path in daemon.tracks_folder.iterdir()} <= {".lock"}
                track_id = daemon.request("generate", prompt="rain", duration_sec=5)["track_id"]
                assert daemon.final(track_id)["method"] == "generation_complete"
                assert check_folder(daemon.tracks_folder) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is where the folder should be; root may write anywhere else."""
    (tmp_path / "lofi.nvim").mkdir()
    (tmp_path / "lofi.nvim" / "tracks").write_text("in the way")
    with DaemonProcess(tmp_path, backends=TONE) as daemon:
        failed_write(daemon, duration_sec=5)
        assert daemon.request("status")["cache"]["tracks"] == 0


def test_the_folder_vanishes_between_tracks(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=TONE) as daemon:
        for seed in (1, 2):
            track_id = daemon.request("generate", prompt="rain", duration_sec=5, seed=seed)
            final = daemon.final(track_id["track_id"])
            assert final["method"] == "generation_complete"
            for path in daemon.tracks_folder.iterdir():
                path.unlink()
            daemon.tracks_folder.rmdir()
            assert daemon.request("tracks_list")["total"] == 0


def test_two_daemons_on_one_folder(tmp_path: Path) -> None:
    """They write the same and other tracks, evict, keep and delete: nothing is harmed or lost."""
    environment = {"LOFI_CACHE_MAX_MB": "6"}
    with (
        DaemonProcess(tmp_path, backends=TONE, environment=environment) as one,
        DaemonProcess(tmp_path, backends=TONE, environment=environment) as two,
    ):
        kept = one.request("generate", prompt="kept", duration_sec=5)["track_id"]
        one.final(kept)
        two.request("tracks_keep", track_ids=[kept], kept=True)
        jobs = [
            (daemon, daemon.request("generate", prompt=prompt, duration_sec=5, seed=seed))
            for seed in range(5)
            for daemon, prompt in ((one, "one"), (two, "two"), (one, "both"), (two, "both"))
        ]
        for daemon, answer in jobs:
            final = daemon.final(answer["track_id"])
            assert final["method"] == "generation_complete", final
        for daemon in (one, two):
            listed = daemon.request("tracks_list")["tracks"]
            assert kept in [track["track_id"] for track in listed if track["kept"]]
        assert one.close() == two.close() == 0
        assert "Traceback" not in one.log()
    check_folder(one.tracks_folder)
    assert TrackCache(one.tracks_folder, 1).size().bytes <= 8_000_000


def test_a_killed_daemon_does_not_hold_up_the_other(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=TONE) as one:
        one.request("ping")
        with DaemonProcess(tmp_path, backends=TONE) as two:
            one.call("generate", prompt="rain", duration_sec=240)
            one.notification("generation_progress", phase="writing")
            os.kill(one.process.pid, signal.SIGSTOP)
            track_id = two.request("generate", prompt="sun", duration_sec=5)["track_id"]
            assert two.final(track_id)["method"] == "generation_complete"
            one.kill()
