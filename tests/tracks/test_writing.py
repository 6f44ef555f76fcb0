"""From samples to a file: exact bytes, metadata, sidecar, and nothing at all when it fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.errors import ModelInferenceFailed
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.tracks import TrackCache
from tests.tracks.conftest import MakeTrack, tone


@pytest.mark.parametrize(
    ("track_format", "suffix", "subtype", "step"),
    [
        ("wav16", ".wav", "PCM_16", 2**-15),
        ("wav24", ".wav", "PCM_24", 2**-23),
        ("flac", ".flac", "PCM_16", 2**-15),
    ],
)
def test_formats(
    cache: TrackCache,
    make_track: MakeTrack,
    track_format: TrackFormat,
    suffix: str,
    subtype: str,
    step: float,
) -> None:
    clip = tone(2.0)
    track = make_track("ein Gerät\n☃", clip=clip, track_format=track_format)
    path = cache.path(track)
    assert path.suffix == suffix
    with soundfile.SoundFile(path) as sound:
        assert sound.subtype == subtype
        assert sound.title == "ein Gerät ☃"
        assert sound.comment == "seed 7, demo 1"
        written = sound.read(dtype="float64").T
    # full scale is 2^n - 1, so a sample may be off by half a step and by that scale's rounding
    assert np.abs(written - clip.samples).max() < 1.01 * step


def test_rounding_is_to_nearest_and_overs_are_clipped(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    samples = np.array([[0.4, 0.6, -0.6, 1.0, 1.5, -1.0, -7.0]], np.float32) / np.array(
        [32767, 32767, 32767, 1, 1, 1, 1], np.float32
    )
    path = cache.path(make_track(clip=AudioClip(samples, 32000)))
    written, rate = soundfile.read(path, dtype="int16")
    assert written.tolist() == [0, 1, -1, 32767, 32767, -32767, -32767]
    assert rate == 32000


def test_same_samples_same_bytes(cache: TrackCache, make_track: MakeTrack) -> None:
    first = hashlib.sha256(cache.path(make_track()).read_bytes()).hexdigest()
    cache.delete([make_track().track_id])
    assert hashlib.sha256(cache.path(make_track()).read_bytes()).hexdigest() == first


def test_sidecar_says_everything(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track("rain", clip=tone(1.0))
    sidecar = json.loads((cache.folder / f"{track.track_id}.json").read_text())
    created = sidecar.pop("created_at")
    assert created.endswith("Z")
    waveform = sidecar.pop("waveform")
    assert len(waveform) == 64
    assert all(0.45 < peak <= 0.5 for peak in waveform)
    assert sidecar.pop("loudness_lufs") == pytest.approx(-6.7, abs=0.1)
    assert sidecar.pop("true_peak") == pytest.approx(0.5, abs=0.01)
    assert sidecar == {
        "track_id": track.track_id,
        "file": f"{track.track_id}.wav",
        "backend": "demo",
        "model_version": "1",
        "prompt": "rain",
        "duration_sec": 1.0,
        "seed": 7,
        "inference_steps": 60,
        "scheduler": "euler",
        "guidance_scale": None,
        "cfg_type": None,
        "erg": None,
        "sample_rate": 48000,
        "channels": 2,
        "bytes": cache.path(track).stat().st_size,
        "generation_time_sec": 1.5,
        "kept": False,
        "last_played_at": None,
    }


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - {".lock"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_leave_nothing(
    cache: TrackCache, make_track: MakeTrack, bad: float
) -> None:
    clip = tone(3.0)
    clip.samples[1, -1] = bad
    with pytest.raises(ModelInferenceFailed):
        make_track(clip=clip)
    assert names(cache.folder) == set()


def test_cancelled_before_writing(cache: TrackCache, make_track: MakeTrack) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        make_track(cancel=token)
    assert names(cache.folder) == set()


def test_cancelled_at_the_last_moment(cache: TrackCache, make_track: MakeTrack) -> None:
    def refuse() -> None:
        assert len(names(cache.folder)) == 2  # both files are whole, under temporary names
        raise Cancelled

    with pytest.raises(Cancelled):
        make_track(before_commit=refuse)
    assert names(cache.folder) == set()


def test_another_format_replaces_the_file(cache: TrackCache, make_track: MakeTrack) -> None:
    first = make_track()
    second = make_track(track_format="flac")
    assert first.track_id == second.track_id
    assert names(cache.folder) == {second.file, f"{second.track_id}.json"}
    assert cache.find(second.track_id) == second
