"""A track from another machine is the track that would have been made here."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.tracks.encoding import ENCODINGS, encode
from tests.backends.remote.conftest import BoxMachine, MakeRemote, request
from tests.daemon_process import DaemonProcess
from tests.tone_backend import ToneBackend

TONE = {"demo": {}}
ASKED = {
    "prompt": "rainy night, rhodes",
    "duration_sec": 5,
    "seed": 7,
    "backend": "demo",
    "inference_steps": 2,
    "variation": 0.2,
}


def daemons(
    tmp_path: Path, box: BoxMachine, backends: Any = TONE, **environment: str
) -> tuple[DaemonProcess, DaemonProcess]:
    """One that computes itself, and one whose model is on the box."""
    command = shlex.join(box.daemon(backends))
    placed = {"LOFI_REMOTE": command, "LOFI_REMOTE_BACKENDS": "demo"}
    return (
        DaemonProcess(tmp_path / "local", backends=backends, environment=environment),
        DaemonProcess(tmp_path / "laptop", backends=backends, environment=environment | placed),
    )


def make(daemon: DaemonProcess, **asked: object) -> tuple[str, dict[str, object]]:
    """The track's id, and what the sidecar says of it."""
    ticket = daemon.request("generate", **{**ASKED, **asked})
    final = daemon.final(ticket["track_id"], timeout=120.0)
    assert final["method"] == "generation_complete", final
    (track,) = [
        each
        for each in daemon.request("tracks_list")["tracks"]
        if each["track_id"] == ticket["track_id"]
    ]
    return ticket["track_id"], track


def known(daemon: DaemonProcess) -> None:
    """Wait until the box has told what it has."""

    def status() -> str:
        backends = daemon.request("get_backends")["backends"]
        return next(each["status"] for each in backends if each["type"] == "demo")

    while status() != "ready":
        daemon.request("ping")


def samples(path: object) -> np.ndarray:
    return soundfile.read(str(path), dtype="int32")[0]


@pytest.mark.parametrize(("track_format", "backends"), [("wav16", None), ("wav24", TONE)])
def test_same_id_and_same_samples(
    tmp_path: Path, box: BoxMachine, track_format: str, backends: Any
) -> None:
    local, laptop = daemons(tmp_path, box, backends, LOFI_TRACK_FORMAT=track_format)
    with local, laptop:
        known(laptop)
        mine, expected = make(local)
        theirs, track = make(laptop)
        told = laptop.notifications("generation_progress", track_id=theirs)
    assert theirs == mine
    facts, wanted = soundfile.info(str(track["path"])), soundfile.info(str(expected["path"]))
    assert (facts.format, facts.subtype) == (wanted.format, wanted.subtype)
    np.testing.assert_array_equal(samples(track["path"]), samples(expected["path"]))
    (made,) = box.tracks.glob("*.flac")
    np.testing.assert_array_equal(samples(track["path"]), samples(made))
    assert "loading" in {each["params"]["phase"] for each in told}
    measured = {"created_at", "generation_time_sec", "path", "bytes", "waveform"}
    # What a track was made of stays where it was made.
    measured |= {"loudness_lufs", "true_peak", "material_bytes"}
    assert {name: value for name, value in track.items() if name not in measured} == {
        name: value for name, value in expected.items() if name not in measured
    }
    assert track["loudness_lufs"] == pytest.approx(expected["loudness_lufs"], abs=0.01)
    timings = json.loads((tmp_path / "laptop" / "lofi.nvim" / "timings.json").read_text())
    assert all(key.startswith("demo@") for key in timings["observations"])


def test_every_format_is_written_as_here(box: BoxMachine, remote: MakeRemote) -> None:
    inner = ToneBackend()
    for seed, track_format in enumerate(ENCODINGS):
        backend = remote(box.daemon(TONE), track_format, inner)
        told: list[PhaseProgress] = []
        backend.load(CancelToken(), told.append)
        resolved = backend.resolve(request(seed))
        assert resolved == inner.resolve(request(seed))
        clip = backend.generate(resolved, on_progress=told.append, cancel=CancelToken())
        mine = inner.generate(resolved, on_progress=lambda _: None, cancel=CancelToken())
        assert written(clip, track_format) == written(mine, track_format)
        assert told[0].phase is Phase.LOADING
        assert told[-1] == PhaseProgress(Phase.FETCHING, 100, 100, 1.0)
        backend.unload()
    box.is_quiet()


def written(clip: AudioClip, track_format: TrackFormat) -> bytes:
    """The file, byte for byte."""
    with tempfile.TemporaryFile() as file:
        told = {"title": "t", "comment": "c", "cancel": CancelToken()}
        encode(clip, file.fileno(), track_format, **told)
        file.seek(0)
        return file.read()


def test_a_track_that_the_box_has_is_only_fetched(box: BoxMachine, remote: MakeRemote) -> None:
    backend = remote(box.daemon(TONE), "flac", ToneBackend())
    clips: list[AudioClip] = []
    changed: list[int] = []
    for _ in range(2):
        backend.load(CancelToken(), lambda _: None)
        resolved = backend.resolve(request())
        clip = backend.generate(resolved, on_progress=lambda _: None, cancel=CancelToken())
        clips.append(clip)
        (made,) = box.tracks.glob("*.flac")
        changed.append(made.stat().st_mtime_ns)
    assert changed[0] == changed[1]
    np.testing.assert_array_equal(clips[0].samples, clips[1].samples)
