"""Folders and files that hold the user's prompts are the user's alone, unless shared on purpose."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from lofi_daemon.files.private import (
    is_shared,
    mend_file_mode,
    mode_of_files,
    private_folder,
)


@pytest.fixture(autouse=True, params=[0o022, 0o002, 0o000])
def umask(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_folder_made_is_private(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert mode_of_files(tmp_path / "a") == 0o600


@pytest.mark.parametrize("before", [0o755, 0o775, 0o750, 0o500])
def test_a_folder_that_is_ours_is_narrowed(tmp_path: Path, before: int) -> None:
    folder = tmp_path / "tracks"
    folder.mkdir()
    folder.chmod(before)
    private_folder(folder)
    assert mode(folder) == 0o700


@pytest.mark.parametrize(
    ("shared", "files"), [(0o777, 0o666), (0o1777, 0o666), (0o2770, 0o660), (0o2775, 0o664)]
)
def test_a_folder_opened_on_purpose_stays_open(tmp_path: Path, shared: int, files: int) -> None:
    folder = tmp_path / "tracks"
    folder.mkdir()
    folder.chmod(shared)
    private_folder(folder)
    assert mode(folder) == shared
    assert is_shared(folder.stat())
    assert mode_of_files(folder) == files


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder, problem in (
        (tmp_path / "file", "Not a directory"),
        (tmp_path / "file" / "below", "Not a directory"),
        (tmp_path / "link", "link to nothing"),
        (tmp_path / ("x" * 300), "name too long"),
    ):
        with pytest.raises(OSError, match=problem):
            private_folder(folder)


def test_files_are_mended_but_never_through_a_link(tmp_path: Path) -> None:
    open_file, precious = tmp_path / "open", tmp_path / "precious"
    for file in (open_file, precious):
        file.write_text("")
        file.chmod(0o644)
    mend_file_mode(open_file, 0o600)
    assert mode(open_file) == 0o600
    (tmp_path / "soft").symlink_to(precious)
    (tmp_path / "hard").hardlink_to(precious)
    with pytest.raises(OSError, match=r"."):
        mend_file_mode(tmp_path / "soft", 0o666)
    mend_file_mode(tmp_path / "hard", 0o666)
    assert mode(precious) == 0o644
