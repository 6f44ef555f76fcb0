"""What a track was made of: beside it, counted with it, and gone with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import TrackCache
from tests.tracks.conftest import MakeTrack, tone

LATENTS = np.arange(1000, dtype=np.float16).reshape(1, 1000)


def clip(seconds: float = 1.0) -> AudioClip:
    plain = tone(seconds)
    return AudioClip(plain.samples, plain.sample_rate, {"latents": LATENTS})


def test_it_lies_beside_the_track_and_goes_with_it(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    track = make_track(clip=clip())
    path = cache.material(track)
    assert path is not None
    assert path.parent == cache.folder
    assert np.array_equal(read_material(path)["latents"], LATENTS)
    assert cache.size().bytes == track.bytes + path.stat().st_size
    assert cache.delete([track.track_id])[1] == track.all_bytes
    assert list(cache.folder.glob("[!.]*")) == []


def test_a_track_without_has_none(cache: TrackCache, make_track: MakeTrack) -> None:
    assert cache.material(make_track()) is None


def test_it_counts_when_room_is_made(tmp_path: Path, make_track: MakeTrack) -> None:
    size = make_track(clip=clip()).all_bytes
    small = TrackCache(tmp_path / "small", max_bytes=2 * size - 1)
    small.prepare()
    first = make_track("first", clip=clip(), cache=small)
    make_track("second", clip=clip(), cache=small)
    assert small.find(first.track_id) is None
    assert not (small.folder / f"{first.track_id}.npz").exists()


def test_what_no_track_owns_is_swept(cache: TrackCache) -> None:
    orphan = cache.folder / f"{'ab' * 8}.npz"
    orphan.write_bytes(b"left behind")
    cache.prepare()
    assert not orphan.exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + b"x" * 50])
def test_a_broken_one_is_told_of(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(AudioPlaybackError, match=r"broken\.npz.*cannot be read"):
        read_material(path)
