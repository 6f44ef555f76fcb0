"""What a sidecar may say: of its own audio file, in finite numbers, at times that keep order."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.sidecar import moment_after, now, read_sidecar, sidecar_text
from tests.tracks.conftest import MakeTrack

FUTURE = "2091-01-01T00:00:00.000Z"


def say(cache: TrackCache, track: Track, **fields: Any) -> Path:
    """Write other fields into a track's sidecar; a string of bytes stands for itself."""
    sidecar = cache.folder / f"{track.track_id}.json"
    text = json.dumps({**json.loads(sidecar.read_text()), **dict.fromkeys(fields, 0)})
    for name, value in fields.items():
        text = text.replace(f'"{name}": 0', f'"{name}": {value}')
    sidecar.write_text(text)
    return sidecar


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400])
@pytest.mark.parametrize(
    "field",
    ["duration_sec", "seed", "loudness_lufs", "bytes", "generation_time_sec", "guidance_scale",
     "true_peak", "sample_rate", "channels", "inference_steps", "a_later_version"],
)  # fmt: skip
def test_numbers_that_are_not_finite(
    cache: TrackCache, make_track: MakeTrack, field: str, number: str
) -> None:
    good, bad = make_track("good"), make_track("bad")
    say(cache, bad, **{field: number})
    assert cache.tracks() == [good]
    assert cache.find(bad.track_id) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loudness_lufs", "-99999"),
        ("loudness_lufs", "99999"),
        ("true_peak", "1e300"),
        ("duration_sec", "1e300"),
        ("duration_sec", "-1"),
        ("sample_rate", "0"),
        ("channels", "-2"),
        ("waveform", "[1e300]"),
        ("waveform", "[NaN]"),
        ("waveform", str([0.5] * 10_000)),
        ("waveform", "[[[0.5]]]"),
        ("created_at", '"yesterday"'),
        ("created_at", '"2026-13-41T99:00:00.000Z"'),
        ("last_played_at", '"\\ud800"'),
        ("prompt", '"\\ud800"'),
        ("prompt", '"' + "x" * 300_000 + '"'),
    ],
)
def test_values_that_no_track_has(
    cache: TrackCache, make_track: MakeTrack, field: str, value: str
) -> None:
    good, bad = make_track("good"), make_track("bad")
    say(cache, bad, **{field: value})
    assert cache.tracks() == [good]


def test_a_sidecar_that_is_a_pipe_is_not_waited_for(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    track = make_track()
    os.mkfifo(cache.folder / ("0" * 16 + ".json"))
    assert cache.tracks() == [track]
    assert cache.find("0" * 16) is None


def test_a_bad_sidecar_is_named_once(
    cache: TrackCache, make_track: MakeTrack, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar = say(cache, make_track(), loudness_lufs="NaN")
    cache.tracks()
    cache.tracks()
    assert caplog.text.count(str(sidecar)) == 1


@pytest.mark.parametrize("named", ["track_id and file", "file"])
def test_a_second_sidecar_takes_no_audio_along(
    cache: TrackCache, make_track: MakeTrack, named: str
) -> None:
    """It names the kept track's file as its own; deleted or evicted it must not take it along."""
    precious = make_track("precious")
    cache.keep([precious.track_id], True)
    fields = json.loads((cache.folder / f"{precious.track_id}.json").read_text())
    fields["kept"] = False
    if named == "file":
        fields["track_id"] = "0" * 16
    (cache.folder / ("0" * 16 + ".json")).write_text(json.dumps(fields))
    assert cache.find("0" * 16) is None
    cache.max_bytes = 1
    cache.evict()
    assert cache.find(precious.track_id) is not None


def test_time_goes_on_whatever_the_clock_says() -> None:
    assert moment_after(FUTURE) == "2091-01-01T00:00:00.001Z"
    assert now() <= moment_after("2001-01-01T00:00:00.000Z") < FUTURE
    assert now() <= moment_after(None) < FUTURE


def test_tracks_dated_in_the_future_keep_the_order(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    """The clock was once ahead: what is made and played now is the newest all the same."""
    early, late = make_track("early"), make_track("late")
    say(cache, early, created_at=f'"{FUTURE}"')
    say(cache, late, created_at='"2091-01-02T00:00:00.000Z"')
    new = make_track("new")
    assert [track.track_id for track in cache.tracks()] == [
        new.track_id,
        late.track_id,
        early.track_id,
    ]
    cache.played(early.track_id)
    cache.max_bytes = 2 * new.bytes + 1000
    newest = make_track("newest")
    assert {track.track_id for track in cache.tracks()} == {early.track_id, newest.track_id}


def test_a_date_that_no_clock_can_have_shown_is_long_ago(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    old = make_track("old")
    say(cache, old, created_at='"9999-12-31T23:59:59.999Z"')
    new = make_track("new")
    assert [track.track_id for track in cache.tracks()] == [new.track_id, old.track_id]
    assert new.created_at < FUTURE


# As the first version wrote it.
FIRST: dict[str, Any] = {
    "track_id": "0123456789abcdef",
    "file": "0123456789abcdef.wav",
    "backend": "demo",
    "model_version": "lofi-demo-1",
    "prompt": "rain",
    "duration_sec": 30.0,
    "seed": 7,
    "inference_steps": 16,
    "scheduler": "euler",
    "guidance_scale": 3.0,
    "cfg_type": "cfg",
    "erg": False,
    "sample_rate": 48000,
    "channels": 2,
    "bytes": 5760044,
    "created_at": "2025-11-20T10:00:00.000Z",
    "generation_time_sec": 4.2,
    "loudness_lufs": -16.0,
    "true_peak": 0.9,
    "waveform": [0.5] * 64,
    "kept": False,
    "last_played_at": None,
}


def read(tmp_path: Path, text: str) -> Track:
    path = tmp_path / f"{FIRST['track_id']}.json"
    path.write_text(text)
    track = read_sidecar(path)
    assert track is not None
    return track


def test_what_the_first_version_wrote_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    assert json.loads(sidecar_text(read(tmp_path, json.dumps(FIRST)))) == FIRST


def test_options_of_other_models_stand_beside_the_rest(tmp_path: Path) -> None:
    options = {"bpm": 84, "key": "A minor", "shift": 3.0, "dcw": True}
    track = read(tmp_path, json.dumps({**FIRST, **options}))
    assert json.loads(sidecar_text(track)) == {**FIRST, **options}


@pytest.mark.parametrize("value", [[1], {"a": 1}, None])
def test_what_cannot_be_an_option_is_left_out(tmp_path: Path, value: Any) -> None:
    track = read(tmp_path, json.dumps({**FIRST, "later": value}))
    assert "later" not in track.model_dump()
