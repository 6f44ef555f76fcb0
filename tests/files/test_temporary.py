"""Files on their way to their name, and locks where a file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from lofi_daemon.files.locking import folder_lock
from lofi_daemon.files.temporary import is_abandoned, replace_file, sweep, temporary_file


def test_a_file_is_replaced_whole_and_its_like_swept(tmp_path: Path) -> None:
    target = tmp_path / "timings.json"
    left = tmp_path / ".timings.json-00000000.partial"
    other = tmp_path / ".other.json-00000000.partial"
    for file in (target, left, other):
        file.write_text("old")
    replace_file(target, b"new")
    assert target.read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {target.name, other.name}


def test_what_a_living_process_writes_is_not_swept(tmp_path: Path) -> None:
    with temporary_file(tmp_path, "x") as file:
        sweep(tmp_path, "x")
        assert file.path.exists()
    assert not file.path.exists()


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    replace_file(tmp_path / ("ü" * 127), b"x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]


def test_what_is_replaced_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    replace_file(tmp_path / "x", b"x")
    assert synced == [(tmp_path / "x").stat().st_ino, tmp_path.stat().st_ino]


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> NoReturn:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_one_at_a_time_all_the_same(tmp_path: Path) -> None:
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(5):
            with folder_lock(tmp_path):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_dead_holder_holds_up_nobody(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with folder_lock(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with folder_lock(tmp_path):
        pass


@pytest.mark.usefixtures("no_locks")
def test_without_locks_only_what_is_old_counts_as_abandoned(tmp_path: Path) -> None:
    with temporary_file(tmp_path, "x") as file:
        file.write(b"half")
        assert not is_abandoned(file.path)
        long_ago = time.time() - 7200
        os.utime(file.path, (long_ago, long_ago))
        assert is_abandoned(file.path)


def test_a_lock_of_another_user_that_may_only_be_read_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_lock(tmp_path):
        pass
    opened = os.open

    def refuse_writing(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse_writing)
    with folder_lock(tmp_path):
        pass
