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
NULL = {"LOFI_AUDIO_DEVICE": "null"}


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


def kept_elsewhere(daemon: DaemonProcess, place: Path, **params: object) -> str:
    """Make a track that the folder does not take: complete, whole, and told where and why."""
    track_id = daemon.request("generate", prompt="rain", seed=1, **params)["track_id"]
    final = daemon.final(track_id)
    assert final["method"] == "generation_complete", final
    path = Path(final["params"]["path"])
    assert path.is_relative_to(place)
    assert soundfile.info(path).duration == params["duration_sec"]
    warning = final["params"]["warning"]
    assert str(path) in warning
    assert str(daemon.tracks_folder).encode("utf-8", "replace")[:40].decode() in warning
    return track_id


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
                kept_elsewhere(daemon, tmp_path / "data", duration_sec=60)
                assert {path.name for path in daemon.tracks_folder.iterdir()} <= {".lock"}
                track_id = daemon.request("generate", prompt="rain", duration_sec=5)["track_id"]
                assert daemon.final(track_id)["method"] == "generation_complete"
                assert check_folder(daemon.tracks_folder) == 1


def in_the_way(folder: Path, kind: str) -> str:
    """A name for the folder of tracks where none can be."""
    if kind == "a file":
        (folder / "x").write_text("in the way")
    elif kind == "a link to nothing":
        (folder / "x").symlink_to(folder / "nowhere")
    elif kind == "a long name":
        return str(folder / ("x" * 300))
    elif kind == "not UTF-8":
        (folder / os.fsdecode(b"\xff")).write_text("in the way")
        return str(folder / os.fsdecode(b"\xff"))
    return str(folder / "x")


@pytest.mark.parametrize("kind", ["a file", "a link to nothing", "a long name", "not UTF-8"])
def test_a_folder_that_cannot_be_used_stops_nothing(tmp_path: Path, kind: str) -> None:
    """Everything is answered and says what is wrong, and the track is heard."""
    cache = in_the_way(tmp_path, kind)
    environment = {"LOFI_CACHE_PATH": cache, "LOFI_AUDIO_DEVICE": "null"}
    with DaemonProcess(tmp_path, backends=TONE, environment=environment) as daemon:
        daemon.tracks_folder = Path(cache)
        assert "track folder" in daemon.request("status")["cache"].get("error", "track folder")
        track_id = kept_elsewhere(daemon, tmp_path / "data", duration_sec=20)
        assert daemon.request("generate", prompt="rain", duration_sec=20, seed=1) == {
            "track_id": track_id, "status": "cached", "position": 0, "seed": 1, "backend": "demo"
        }  # fmt: skip
        assert daemon.request("tracks_list")["total"] == 1
        assert daemon.request("tracks_keep", track_ids=[track_id], kept=True)["kept"]
        assert daemon.request("play")["track_id"] == track_id
        daemon.request("stop")
        assert daemon.request("radio_start", prompts=["a"], duration_sec=6)["radio"]
        daemon.notification("playback_started", prompt="a")
        daemon.request("radio_stop")
        daemon.request("stop")
        assert daemon.request("tracks_delete", track_ids=[track_id])["deleted"] == [track_id]
        assert daemon.close() == 0
        assert "Traceback" not in daemon.log()


def test_an_unreadable_folder_of_the_user_takes_no_method_down(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "lofi.nvim").write_text("in the way")
    (tmp_path / "lofi.nvim").write_text("in the way")
    with DaemonProcess(tmp_path, backends=TONE) as daemon:
        answer = daemon.request("radio_presets")
        assert len(answer["presets"]) >= 10
        assert "radio.json" in answer["error"]
        daemon.request("get_backends")
        kept_elsewhere(daemon, tmp_path / "data", duration_sec=5)
        assert daemon.close() == 0
        assert "Traceback" not in daemon.log()


NUMBERS = ["NaN", "Infinity", "1e999", "-99999", "1e300", "[[[[[[[1]]]]]]]", '"\\ud800"', "9" * 400]


def test_a_sidecar_with_odd_numbers_takes_no_method_down(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, backends=TONE, environment=NULL) as daemon:
        (good,) = daemon.made("good", duration_sec=5.0)
        text = (daemon.tracks_folder / f"{good}.json").read_text()
        for place, number in enumerate(NUMBERS):
            name = f"{place:016x}"
            before, after = text.split('"loudness_lufs": ')
            bad = f'{before}"loudness_lufs": {number}{after[after.index(",") :]}'
            (daemon.tracks_folder / f"{name}.json").write_text(bad.replace(good, name))
            (daemon.tracks_folder / f"{name}.wav").hardlink_to(daemon.tracks_folder / f"{good}.wav")
        os.mkfifo(daemon.tracks_folder / ("f" * 16 + ".json"))
        listed = daemon.request("tracks_list")["tracks"]
        assert [track["track_id"] for track in listed] == [good]
        assert daemon.request("play")["track_id"] == good
        assert daemon.close() == 0


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
