"""Listing, keeping, deleting and evicting; two daemons on one folder; whatever lies around."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from lofi_daemon.errors import TrackNotFound
from lofi_daemon.files.temporary import TemporaryFile
from lofi_daemon.tracks import Track, TrackCache
from tests.tracks.conftest import MakeTrack, tone


def ids(tracks: list[Track]) -> list[str]:
    return [track.track_id for track in tracks]


def make_in_order(make_track: MakeTrack, count: int) -> list[Track]:
    """Tracks that were made at different moments, oldest first."""
    tracks: list[Track] = []
    for number in range(count):
        tracks.append(make_track(f"track {number}"))
        time.sleep(0.002)
    return tracks


def test_an_empty_or_missing_folder_has_no_tracks(tmp_path: Path) -> None:
    cache = TrackCache(tmp_path / "nowhere", 1)
    assert cache.tracks() == []
    assert cache.size().bytes == 0
    assert cache.find("0" * 16) is None
    assert cache.evict() == []


def test_newest_first_and_pages(cache: TrackCache, make_track: MakeTrack) -> None:
    made = ids(make_in_order(make_track, 5))
    made.reverse()
    assert ids(cache.page()[0]) == made
    page, total = cache.page(limit=2, offset=1)
    assert ids(page) == made[1:3]
    assert total == 5
    assert cache.page(limit=0) == ([], 5)
    assert cache.page(offset=9) == ([], 5)


def test_query_is_part_of_the_prompt(cache: TrackCache, make_track: MakeTrack) -> None:
    wanted = make_track("STRASSE im Regen")
    make_track("sun")
    assert ids(cache.page(wanted.track_id.upper())[0]) == [wanted.track_id]
    assert ids(cache.page("straße")[0]) == [wanted.track_id]
    assert cache.page("straße")[1] == 1
    assert cache.page("snow") == ([], 0)


@pytest.mark.parametrize("bad_id", ["", "../../etc/passwd", "0" * 15, "G" * 16, "0" * 16 + "/.."])
def test_what_is_no_id_is_not_found(cache: TrackCache, bad_id: str) -> None:
    assert cache.find(bad_id) is None
    with pytest.raises(TrackNotFound):
        cache.delete([bad_id])


def test_a_track_needs_both_files_whole(cache: TrackCache, make_track: MakeTrack) -> None:
    cut, bare, lone = make_track("cut"), make_track("bare"), make_track("lone")
    audio = cache.path(cut)
    audio.write_bytes(audio.read_bytes()[:-1])
    cache.path(bare).unlink()
    (cache.folder / f"{lone.track_id}.json").unlink()
    assert cache.tracks() == []
    assert all(cache.find(track.track_id) is None for track in (cut, bare, lone))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"track_id": 3}', b"[" * 100_000, b"null"]
)
def test_other_json_files_are_not_tracks(
    cache: TrackCache, make_track: MakeTrack, content: bytes
) -> None:
    (cache.folder / ("0" * 16 + ".json")).write_bytes(content)
    track = make_track()
    (cache.folder / "copy.json").write_bytes((cache.folder / f"{track.track_id}.json").read_bytes())
    assert ids(cache.tracks()) == [track.track_id]


def test_a_sidecar_cannot_point_outside(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track()
    sidecar = cache.folder / f"{track.track_id}.json"
    outside = cache.folder.parent / "precious.wav"
    cache.path(track).replace(outside)
    fields = json.loads(sidecar.read_text())
    fields["file"] = "../precious.wav"
    sidecar.write_text(json.dumps(fields))
    assert cache.find(track.track_id) is None
    with pytest.raises(TrackNotFound):
        cache.delete([track.track_id])
    assert outside.exists()


def test_keep_and_played_are_remembered(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track()
    assert cache.keep([track.track_id], True)[0].kept
    cache.played(track.track_id)
    other = TrackCache(cache.folder, 1)
    seen = other.find(track.track_id)
    assert seen is not None
    assert seen.kept
    assert seen.last_played_at is not None
    assert seen.last_played_at >= track.created_at
    assert seen.waveform == track.waveform
    assert cache.tracks() == [seen]
    assert not cache.keep([track.track_id], False)[0].kept


def test_fields_of_a_later_version_survive(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track()
    sidecar = cache.folder / f"{track.track_id}.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "mood": "blue"}))
    cache.keep([track.track_id], True)
    assert json.loads(sidecar.read_text())["mood"] == "blue"


def test_nothing_changes_when_one_id_is_unknown(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track()
    for change in (lambda wanted: cache.keep(wanted, True), cache.delete):
        with pytest.raises(TrackNotFound):
            change([track.track_id, "0" * 16])
    assert cache.tracks() == [track]


def test_delete_frees_the_files(cache: TrackCache, make_track: MakeTrack) -> None:
    gone, stays = make_track("gone"), make_track("stays")
    cache.keep([gone.track_id], True)
    deleted, freed = cache.delete([gone.track_id, gone.track_id])
    assert deleted == [gone.track_id]
    assert freed == gone.bytes
    assert {entry.name for entry in cache.folder.iterdir()} == {
        ".lock",
        stays.file,
        f"{stays.track_id}.json",
    }


def test_the_least_recently_played_go_first(cache: TrackCache, make_track: MakeTrack) -> None:
    a, b, c, d, e = make_in_order(make_track, 5)
    cache.played(a.track_id)
    cache.max_bytes = 3 * a.bytes
    assert cache.evict() == [b.track_id, c.track_id]
    assert set(ids(cache.tracks())) == {a.track_id, d.track_id, e.track_id}


def test_kept_and_protected_tracks_stay(cache: TrackCache, make_track: MakeTrack) -> None:
    a, b, c = make_in_order(make_track, 3)
    cache.keep([a.track_id], True)
    cache.protect(lambda: {b.track_id})
    cache.protect(frozenset)
    cache.max_bytes = 1
    assert cache.evict() == [c.track_id]
    assert set(ids(cache.tracks())) == {a.track_id, b.track_id}


def test_a_new_track_is_there_only_with_the_room_it_needs(
    cache: TrackCache, make_track: MakeTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = make_in_order(make_track, 2)
    cache.max_bytes = 2 * a.bytes
    most = 0
    publish = TemporaryFile.publish

    def watched(file: TemporaryFile, path: Path) -> None:
        nonlocal most
        publish(file, path)
        most = max(most, cache.size().bytes)

    monkeypatch.setattr(TemporaryFile, "publish", watched)
    cache.protect(lambda: {a.track_id})
    c = make_track("c")
    assert set(ids(cache.tracks())) == {a.track_id, c.track_id}
    assert most <= cache.max_bytes
    make_track("c")  # written again it needs no room but its own
    assert set(ids(cache.tracks())) == {a.track_id, c.track_id}
    cache.path(c).unlink()  # and all of it where only the sidecar was left
    b = make_track("b")
    make_track("c")
    assert cache.find(b.track_id) is None
    assert most <= cache.max_bytes


def test_a_track_is_kept_even_where_no_room_can_be_made(
    cache: TrackCache,
    make_track: MakeTrack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    a = make_track("a")
    cache.max_bytes = a.bytes

    def refuse(track: Track) -> None:
        raise PermissionError(13, "Permission denied", track.file)

    monkeypatch.setattr(cache, "_remove", refuse)
    b = make_track("b")
    assert set(ids(cache.tracks())) == {a.track_id, b.track_id}
    assert "over its limit" in caplog.text


def test_sweeping_spares_the_living_and_strangers(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track()
    dead = cache.folder / f".{'0' * 16}-{'a' * 8}.partial"
    orphan = cache.folder / f"{'1' * 16}.wav"
    mine = cache.folder / "my own song.wav"
    for path in (dead, orphan, mine):
        path.write_bytes(b"RIFF")
    with cache.temporary("2" * 16) as writing:
        writing.write(b"half")
        TrackCache(cache.folder, 1).prepare()
        assert not dead.exists()
        assert not orphan.exists()
        assert mine.exists()
        assert len(list(cache.folder.glob(".*.partial"))) == 1
    assert list(cache.folder.glob(".*.partial")) == []
    assert cache.tracks() == [track]


def test_abandon_removes_what_is_being_written(cache: TrackCache) -> None:
    with cache.temporary("2" * 16) as writing:
        writing.write(b"half")
        cache.abandon()
        assert list(cache.folder.glob(".*.partial")) == []


def test_two_caches_on_one_folder(cache: TrackCache, make_track: MakeTrack) -> None:
    """Both write, keep, play, delete and evict at once; what is left is whole, kept ones stay."""
    other = TrackCache(cache.folder, cache.max_bytes)
    precious = make_track("precious", clip=tone(0.05))
    cache.keep([precious.track_id], True)
    for each in (cache, other):
        each.protect(lambda: {precious.track_id})
    failures: list[BaseException] = []

    def work(mine: TrackCache, name: str) -> None:
        try:
            for number in range(25):
                track = make_track(f"{name} {number % 5}", clip=tone(0.05), cache=mine)
                try:
                    mine.played(precious.track_id)
                    mine.keep([track.track_id], number % 2 == 0)
                    if number % 3 == 0:
                        mine.delete([track.track_id])
                except TrackNotFound:
                    assert mine.find(precious.track_id) is not None
                mine.evict()
                for seen in mine.tracks():
                    assert seen.bytes > 0
        except BaseException as error:
            failures.append(error)
            raise

    threads = [
        threading.Thread(target=work, args=(mine, name))
        for mine, name in ((cache, "left"), (other, "right"), (cache, "shared"), (other, "shared"))
    ]
    cache.max_bytes = other.max_bytes = 6 * precious.bytes
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = cache.find(precious.track_id)
    assert kept is not None
    assert kept.kept
    cache.prepare()
    left = {entry.name for entry in cache.folder.iterdir()} - {".lock"}
    tracks = cache.tracks()
    assert left == {t.file for t in tracks} | {f"{t.track_id}.json" for t in tracks}


def test_the_folder_lock_ends_with_its_holder(cache: TrackCache) -> None:
    """A daemon that died holding the lock must not stop the next one."""
    child = os.fork()
    if child == 0:
        from lofi_daemon.files.locking import folder_lock

        with folder_lock(cache.folder):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    cache.prepare()


def test_what_was_acknowledged_as_kept_is_on_the_disk(
    cache: TrackCache, make_track: MakeTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = make_track()
    synced: list[int] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    cache.keep([track.track_id], True)
    sidecar = cache.folder / f"{track.track_id}.json"
    assert synced == [sidecar.stat().st_ino, cache.folder.stat().st_ino]


def permissions(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_tracks_are_the_users_alone_older_ones_too(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    make_track("one")
    assert permissions(cache.folder) == {0o600}
    cache.folder.chmod(0o755)
    for path in cache.folder.iterdir():
        path.chmod(0o644)
    cache.prepare()
    assert permissions(cache.folder) == {0o600}
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_in_a_shared_folder_every_user_can_do_everything(
    cache: TrackCache, make_track: MakeTrack
) -> None:
    track = make_track("one")
    cache.folder.chmod(0o2770)
    cache.prepare()
    make_track("two")
    cache.keep([track.track_id], True)
    assert permissions(cache.folder) == {0o660}
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o2770


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_two_users_share_a_cache(cache: TrackCache, make_track: MakeTrack) -> None:
    track = make_track("one")
    for folder in cache.folder.parents:
        if folder != Path("/tmp"):  # pytest's folders are closed to others
            folder.chmod(folder.stat().st_mode | 0o011)
        else:
            break
    cache.folder.chmod(0o777)
    cache.prepare()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(12345)
            os.setuid(12345)
            other = TrackCache(cache.folder, cache.max_bytes)
            other.prepare()
            other.keep([track.track_id], True)
            mine = make_track("two", cache=other)
            status = 0 if other.path(mine).parent == cache.folder else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(cache.tracks()) == 2
    assert len(cache.delete([track.track_id for track in cache.tracks()])[0]) == 2
