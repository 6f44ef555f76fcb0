"""A finished track is never thrown away: where it goes when its folder does not take it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import soundfile

from lofi_daemon.errors import CacheWriteFailed
from lofi_daemon.tracks import TrackCache
from tests.tracks.conftest import MakeTrack


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "data" / "lofi.nvim" / "tracks"


def in_the_way(folder: Path, kind: str) -> Path:
    """A folder of tracks that takes none."""
    path = folder / "tracks of mine"
    if kind == "a file":
        path.write_text("in the way")
    elif kind == "below a file":
        path.write_text("in the way")
        return path / "tracks"
    elif kind == "a link to nothing":
        path.symlink_to(folder / "nowhere")
    elif kind == "a long name":
        return folder / ("x" * 300)
    elif kind == "another's":
        path.mkdir(0o000)
    return path


KINDS = ["a file", "below a file", "a link to nothing", "a long name"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_track_is_kept_and_stays_a_track(
    tmp_path: Path, data: Path, make_track: MakeTrack, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = TrackCache(in_the_way(tmp_path, kind), 10_000_000)
    cache.prepare()
    assert str(cache.folder) in caplog.text
    track = make_track("rain", cache=cache)
    path = cache.path(track)
    assert path == data / track.file
    assert soundfile.info(path).frames == round(track.duration_sec * track.sample_rate)
    why = str(cache.why_elsewhere(track.track_id))
    assert str(cache.folder) in why
    assert str(path) in why
    assert cache.find(track.track_id) == track
    assert cache.tracks() == [track]
    assert cache.page("rain") == ([track], 1)
    assert cache.keep([track.track_id], True)[0].kept
    cache.played(track.track_id)
    assert cache.delete([track.track_id]) == ([track.track_id], track.bytes)
    assert not path.exists()
    assert cache.tracks() == []


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_data_folder_does_not_work_either(
    tmp_path: Path, data: Path, make_track: MakeTrack, kind: str
) -> None:
    (tmp_path / "data").write_text("in the way")
    cache = TrackCache(in_the_way(tmp_path, kind), 10_000_000)
    track = make_track(cache=cache)
    assert cache.path(track).parent.parent == tmp_path / "temporary"
    assert cache.path(track).parent.stat().st_mode & 0o777 == 0o700
    assert cache.path(track).stat().st_mode & 0o777 == 0o600


def test_only_where_nothing_works_it_is_an_error(
    tmp_path: Path, data: Path, make_track: MakeTrack
) -> None:
    (tmp_path / "data").write_text("in the way")
    (tmp_path / "temporary").rmdir()
    cache = TrackCache(in_the_way(tmp_path, "a file"), 10_000_000)
    with pytest.raises(CacheWriteFailed, match="another place") as failure:
        make_track(cache=cache)
    assert str(cache.folder) in failure.value.message
    assert failure.value.data["bytes_needed"] > 0


def test_a_folder_that_vanishes_while_the_track_is_written_is_made_again(
    cache: TrackCache, data: Path, make_track: MakeTrack
) -> None:
    def vanish() -> None:
        for path in cache.folder.iterdir():
            path.unlink()
        cache.folder.rmdir()

    track = make_track(before_commit=vanish)
    assert cache.path(track) == cache.folder / track.file
    assert cache.find(track.track_id) == track
    assert not data.exists()


def test_what_lies_elsewhere_has_the_same_limit(
    tmp_path: Path, data: Path, make_track: MakeTrack
) -> None:
    cache = TrackCache(in_the_way(tmp_path, "a file"), 10_000_000)
    first, second = make_track("first", cache=cache), make_track("second", cache=cache)
    cache.max_bytes = 2 * first.bytes + 1000
    third = make_track("third", cache=cache)
    assert {path.name for path in data.glob("*.wav")} == {second.file, third.file}


def test_a_folder_that_cannot_be_read_is_said_and_no_empty_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = TrackCache(in_the_way(tmp_path, "a file"), 10_000_000)
    assert cache.tracks() == []
    assert cache.size().tracks == 0
    assert cache.evict() == []
    assert str(cache.folder) in str(cache.problem)
    with pytest.raises(CacheWriteFailed, match="cannot be read"):
        cache.page()
    assert caplog.text.count("cannot be read") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root enters every folder")
def test_a_folder_of_nobody(tmp_path: Path, data: Path, make_track: MakeTrack) -> None:
    cache = TrackCache(in_the_way(tmp_path, "another's"), 10_000_000)
    cache.folder.parent.chmod(0o500)
    track = make_track(cache=cache)
    assert cache.find(track.track_id) == track
