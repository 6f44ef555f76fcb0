"""A set that is made of other files is theirs for as long as they are what they were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.documents import MANIFEST
from lofi_daemon.models.making import begun, is_made, make_set, read_touched, source_of, sums_of


@pytest.fixture(autouse=True)
def sums_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made_of(origin: Path) -> Path:
    """A set of one file that is made of one file."""
    source = source_of(origin, ["weights", "not there"], CancelToken())

    def write(unfinished: Path) -> dict[str, Any]:
        (unfinished / "smaller").write_bytes((origin / "weights").read_bytes()[:2])
        return {"source": {name: file.model_dump() for name, file in source.items()}}

    target = origin / "int8"
    make_set(target, {"source": sums_of(source)}, write, CancelToken())
    return target


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"trained once")
    return folder


def later(path: Path) -> None:
    moment = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(moment, moment))


def test_a_set_of_files_that_were_replaced_by_equally_long_ones_is_not_made(origin: Path) -> None:
    folder = made_of(origin)
    assert is_made(folder, origin)
    (origin / "weights").write_bytes(b"trained anew")
    later(origin / "weights")
    assert not is_made(folder, origin)
    read_touched(folder, origin, CancelToken())
    assert not is_made(folder, origin)


def test_a_set_of_files_that_were_only_touched_is_made_once_they_were_read(origin: Path) -> None:
    folder = made_of(origin)
    later(origin / "weights")
    assert not is_made(folder, origin)
    read_touched(folder, origin, CancelToken())
    assert is_made(folder, origin)


def test_a_set_outlives_what_it_was_made_of(origin: Path) -> None:
    folder = made_of(origin)
    (origin / "weights").unlink()
    assert is_made(folder, origin)


def test_a_set_of_an_earlier_version_knows_the_sizes_alone(origin: Path) -> None:
    folder = made_of(origin)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["source"] = {"weights": (origin / "weights").stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    later(origin / "weights")
    assert is_made(folder, origin)
    (origin / "weights").write_bytes(b"longer than it was")
    assert not is_made(folder, origin)


def test_an_attempt_that_began_with_other_files_is_not_gone_on_with(origin: Path) -> None:
    found: list[list[str]] = []

    def interrupted(unfinished: Path) -> dict[str, Any]:
        found.append([path.name for path in unfinished.iterdir() if path.name[0] != "."])
        (unfinished / "part").touch()
        raise KeyboardInterrupt

    def attempt() -> None:
        source = source_of(origin, ["weights"], CancelToken())
        with pytest.raises(KeyboardInterrupt):
            make_set(origin / "int8", sums_of(source), interrupted, CancelToken())

    attempt()
    attempt()
    (origin / "weights").write_bytes(b"trained anew")
    later(origin / "weights")
    attempt()
    assert found == [[], ["part"], []]
    assert begun(origin / "int8") == sums_of(source_of(origin, ["weights"], CancelToken()))
