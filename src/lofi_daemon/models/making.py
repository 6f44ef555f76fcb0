"""Sets of files that are made of others: each grows beside its place, and moves there whole.

What a set was made of stands in its manifest, and so does the reason where none can be made: both
hold for as long as those files are what they were.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lofi_daemon import __version__
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.files.documents import read_document
from lofi_daemon.models import store
from lofi_daemon.models.checksums import Checksums
from lofi_daemon.models.documents import MANIFEST, MAX_BYTES, RECORD, read_checked, write_document

_BEGUN = ".begun"


class CannotBeMade(Exception):
    """These files can never be made of those; the text says why, and completes a sentence."""


class Refusal(BaseModel):
    """Why a set cannot be made, by which version of this program, of which files.

    files: size in bytes and modification time in nanoseconds of each, by name.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    reason: str
    version: str
    files: dict[str, tuple[int, int]]


class SourceFile(BaseModel):
    """A file that a set was made of, as it was then."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    bytes: int
    mtime_ns: int
    sha256: str


Source = dict[str, SourceFile | int]
"""What a set was made of, by name. Sets of earlier versions know the sizes in bytes alone."""


class MadeOf(BaseModel):
    """What the manifest of a made set says of its making."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    model_version: str = ""
    source: Source = Field(default_factory=Source)
    refused: Refusal | None = None


def read_made_of(folder: Path) -> MadeOf | None:
    """None where there is no set. Raises ModelLoadFailed where its manifest is broken."""
    path = folder / MANIFEST
    return read_checked(path, MadeOf) if store.exists(path) else None


def read_version(folder: Path) -> str:
    """Of the set that lies there. Raises ModelLoadFailed."""
    return read_checked(folder / MANIFEST, MadeOf).model_version


def source_of(folder: Path, names: Iterable[str], cancel: CancelToken) -> dict[str, SourceFile]:
    """Those of the named files that are there, as they are now.

    Reads the ones whose sums are not known. Raises OSError, Cancelled.
    """
    checksums = Checksums()
    source: dict[str, SourceFile] = {}
    for name in names:
        path = folder / name
        if path.is_file():
            status = path.stat()
            sha256 = checksums.of(path, cancel)
            source[name] = SourceFile(
                bytes=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256
            )
    return source


def sums_of(source: Mapping[str, SourceFile]) -> dict[str, str]:
    """By name: what the making of a set depends on."""
    return {name: file.sha256 for name, file in source.items()}


def is_made(folder: Path, made_of: Path) -> bool:
    """Whether a whole set lies in `folder`, of the files that lie in `made_of`.

    Those that are gone by now do not count: the set needs them no more. As far as can be seen
    without reading files: one that was touched is another one, unless its sum is known. A set
    whose manifest is broken is not made.
    """
    try:
        made = read_made_of(folder)
        if made is None or made.refused is not None or not store.expected_files(folder):
            return False
        there = {made_of / name: file for name, file in made.source.items()}
        same = all(_is_same(path, file) for path, file in there.items() if path.is_file())
        return same and not store.inspect(folder)
    except ModelLoadFailed:
        return False


def read_touched(folder: Path, made_of: Path, cancel: CancelToken) -> None:
    """Find out the sums of the files that may only have been copied or touched since.

    Afterwards `is_made` knows. Raises ModelLoadFailed, OSError, Cancelled.
    """
    made = read_made_of(folder)
    for name, file in made.source.items() if made is not None else ():
        path = made_of / name
        if isinstance(file, SourceFile) and path.is_file():
            status = path.stat()
            if status.st_size == file.bytes and status.st_mtime_ns != file.mtime_ns:
                Checksums().of(path, cancel)


def _is_same(path: Path, file: SourceFile | int) -> bool:
    """Whether the file is the one that it was, as far as that is known."""
    status = path.stat()
    if isinstance(file, int):
        return status.st_size == file
    if status.st_size != file.bytes:
        return False
    return status.st_mtime_ns == file.mtime_ns or Checksums().known(path) == file.sha256


def make_set(
    target: Path,
    identity: Mapping[str, Any],
    write: Callable[[Path], Mapping[str, Any]],
    cancel: CancelToken,
    *,
    resumes: bool = True,
) -> None:
    """Make the folder `target`, which is whole or not there.

    write: puts the files into the folder that it gets, and returns what the manifest says besides
    their sizes and sums. identity: what the work depends on; where an attempt that began with the
    same was interrupted, `write` finds what that has written, if it `resumes` at all.
    Raises what `write` raises, OSError, Cancelled.
    """
    unfinished = _unfinished(target)
    if not resumes or begun(target) != identity:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_document(unfinished / _BEGUN, json.dumps(identity))
    whole = False
    try:
        manifest = dict(write(unfinished))
        (unfinished / _BEGUN).unlink()
        manifest["files"] = listed_files(unfinished, cancel)
        write_document(unfinished / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        unfinished.replace(target)
        whole = True
    except CannotBeMade:
        resumes = False
        raise
    finally:
        if not whole and not resumes:
            shutil.rmtree(unfinished, ignore_errors=True)
    checksums = Checksums()
    for name, facts in manifest["files"].items():
        checksums.remember(target / name, facts["sha256"])


def listed_files(folder: Path, cancel: CancelToken) -> dict[str, dict[str, Any]]:
    """Size and sum of every file in a folder but its manifest, as that lists them.

    Raises OSError, Cancelled.
    """
    checksums = Checksums()
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": checksums.of(path, cancel)}
        for path in paths
    }


def begun(target: Path) -> dict[str, Any] | None:
    """The identity of an interrupted attempt to make `target`, which the next one goes on with."""
    try:
        return dict(read_document(_unfinished(target) / _BEGUN, MAX_BYTES))
    except (OSError, ValueError, TypeError):  # none, or one that nothing can be made of
        return None


def refuse(target: Path, made_of: Path, reason: str) -> None:
    """Remember that `target` cannot be made of the files in `made_of`. Raises OSError."""
    shutil.rmtree(target, ignore_errors=True)
    refusal = Refusal(reason=reason, version=__version__, files=_states(made_of))
    document = MadeOf(refused=refusal).model_dump_json(indent=2)
    write_document(target / MANIFEST, document + "\n")


def is_refused(target: Path, made_of: Path) -> bool:
    """Whether it was found that `target` cannot be made of the files as they are.

    By this version: another may be able to. Raises OSError.
    """
    with suppress(ModelLoadFailed):  # broken: it is made anew
        made = read_made_of(target)
        refusal = made.refused if made is not None else None
        if refusal is not None and refusal.version == __version__:
            return refusal.files == _states(made_of)
    return False


def _unfinished(target: Path) -> Path:
    return target.with_name(f".{target.name}")


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """Of the files right in the folder, but what this program itself has written down of them."""
    states: dict[str, tuple[int, int]] = {}
    for path in folder.iterdir():
        ours = path.name in (MANIFEST, RECORD) or path.name.startswith(".")
        if not ours and path.is_file():
            status = path.stat()
            name = os.fsencode(path.name).decode("utf-8", errors="backslashreplace")
            states[name] = (status.st_size, status.st_mtime_ns)
    return states
