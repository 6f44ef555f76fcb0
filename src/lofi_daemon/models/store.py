"""Installed models: which files belong to one, and whether they are as they should be.

What was installed is written down in `installed.json` beside the files. A folder that was exported
or quantised says the same in its `manifest.json`. A folder with neither was put there by hand;
nothing is known of its files, and nothing is asserted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed, ModelNotFound
from lofi_daemon.files.names import inside
from lofi_daemon.files.temporary import sync_file, sync_folder
from lofi_daemon.models.checksums import Checksums, hash_file
from lofi_daemon.models.documents import (
    MANIFEST,
    RECORD,
    FileFacts,
    ListedFiles,
    read_checked,
    write_document,
)
from lofi_daemon.models.published import Published

# Downloads grow in here, out of the way of whoever looks for model files.
DOWNLOAD_FOLDER = ".download"
REPAIR_RECORD = "Delete that file and download the model again; files that are whole are kept."
ALTERED = "is altered (its SHA-256 is not the right one)"

OnFile = Callable[[str, int, int], None]


class InstalledRecord(BaseModel):
    """What was installed, from where, under which terms."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    model: str
    source: str
    licence: str
    files: ListedFiles = Field(min_length=1)


class _FilesOfBundle(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    files: ListedFiles = Field(default_factory=dict[str, FileFacts])


@dataclass(frozen=True)
class Problem:
    """A file that is not as it should be: `what` completes the sentence that the name begins."""

    name: str
    what: str


def read_record(folder: Path) -> InstalledRecord | None:
    """What was installed here; None where nothing was. Raises ModelLoadFailed when unreadable."""
    path = folder / RECORD
    return read_checked(path, InstalledRecord, REPAIR_RECORD) if exists(path) else None


def write_record(folder: Path, record: InstalledRecord) -> None:
    """Raises OSError."""
    write_document(folder / RECORD, json.dumps(record.model_dump(), indent=1) + "\n")


def expected_files(folder: Path) -> Mapping[str, FileFacts]:
    """How the files of this folder must be; empty where nobody wrote it down.

    Raises ModelLoadFailed when the document that says so is broken.
    """
    record = read_record(folder)
    if record is not None:
        return record.files
    bundle = folder / MANIFEST
    return read_checked(bundle, _FilesOfBundle, REPAIR_RECORD).files if exists(bundle) else {}


def inspect(folder: Path, checksums: Checksums | None = None) -> list[Problem]:
    """What can be seen without reading files: missing, of a wrong size, or found altered before.

    Raises ModelLoadFailed when the folder's record is broken.
    """
    checksums = checksums or Checksums()
    return [
        problem
        for name, facts in expected_files(folder).items()
        if (problem := _glance(folder, name, facts, checksums)) is not None
    ]


def verify(
    folder: Path,
    cancel: CancelToken,
    *,
    only_changed: bool = False,
    on_file: OnFile = lambda name, done, total: None,
    checksums: Checksums | None = None,
) -> list[Problem]:
    """What is wrong, by reading the files; only_changed: not those whose sum is known.

    on_file gets the file's name, and how many bytes of how many have been read.
    Raises ModelLoadFailed when the folder's record is broken, Cancelled.
    """
    checksums = checksums or Checksums()
    files = expected_files(folder)
    total = sum(facts.bytes for facts in files.values())
    problems: list[Problem] = []
    done = 0
    for name, facts in files.items():
        on_file(name, done, total)
        problem = _glance(folder, name, facts, checksums if only_changed else None)
        path = folder / name
        if problem is None and not (only_changed and checksums.known(path)):

            def on_read(read: int, name: str = name, before: int = done) -> None:
                on_file(name, before + read, total)

            if checksums.compute(path, cancel, on_read) != facts.sha256:
                problem = Problem(name, ALTERED)
        done += facts.bytes
        if problem is not None:
            problems.append(problem)
    return problems


def describe(folder: Path, problems: list[Problem], repair: str) -> str:
    """The problems and what to do about them, in a line."""
    said = "; ".join(f"{folder / problem.name} {problem.what}" for problem in problems)
    return f"{said}. {repair}"


def repair_command(model: str) -> str:
    return (
        f"Run `lofi-daemon download {model}` (or :Lofi download {model}): "
        "it fetches only what is not whole."
    )


def raise_if_damaged(folder: Path, repair: str, cancel: CancelToken) -> None:
    """Before loading: every file is there and has the right sum. Raises ModelLoadFailed.

    Sums already known for the files as they are now are not computed again.
    """
    problems = verify(folder, cancel, only_changed=True)
    if problems:
        raise ModelLoadFailed(
            describe(folder, problems, repair), hint=repair, files=[each.name for each in problems]
        )


def import_folder(
    published: Published,
    origin: Path,
    folder: Path,
    cancel: CancelToken,
    on_file: OnFile = lambda name, done, total: None,
) -> InstalledRecord:
    """Copy a model from a local folder, check it against what is known of it, and record it.

    The origin must hold every published file under its installed name, or be a bundle whose
    manifest.json lists its files. Raises ModelNotFound, ModelLoadFailed, OSError, Cancelled.
    """
    known = expected_files(origin)
    names = list(known) or [file.name for file in published.files]
    if MANIFEST not in names and exists(origin / MANIFEST):
        names.append(MANIFEST)
    missing = [name for name in names if not (origin / name).is_file()]
    if missing:
        raise ModelNotFound(
            f"{origin} has no {', '.join(missing)}.",
            hint=f"Name the folder that holds all files of {published.title}.",
        )
    checksums = Checksums()
    staging = folder / DOWNLOAD_FOLDER
    sizes = {name: (origin / name).stat().st_size for name in names}
    total = sum(sizes.values())
    done = 0
    facts: dict[str, FileFacts] = {}
    for name in names:
        on_file(name, done, total)
        cancel.raise_if_cancelled()
        inside(folder, name)  # before anything is written
        copy = inside(staging, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)  # not through a link that lies there
        shutil.copyfile(origin / name, copy)
        facts[name] = FileFacts(bytes=copy.stat().st_size, sha256=hash_file(copy, cancel))
        if name in known and facts[name] != known[name]:
            copy.unlink()
            raise ModelLoadFailed(
                f"{origin / name} is not as {origin} itself says it should be.",
                hint="Copy the file again from where it came from.",
            )
        done += sizes[name]
    record = InstalledRecord(
        model=published.model,
        source=f"imported from {origin.absolute()}",
        licence=str(published.licence),
        files=facts,
    )
    put_in_place(folder, record, staging, checksums)
    return record


def put_in_place(
    folder: Path, record: InstalledRecord, staging: Path, checksums: Checksums
) -> None:
    """Move whole files from the staging folder to where they are looked for, and record them.

    The record goes first: interrupted between two moves, the folder is seen to miss files; it is
    never taken for whole. Raises OSError.
    """
    places = {name: inside(folder, name) for name in record.files}
    for name in record.files:
        staged = staging / name
        if staged.is_file():
            sync_file(staged)
    write_record(folder, record)
    folders = {folder}
    for name, place in places.items():
        staged = staging / name
        if staged.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(place)
            folders.add(place.parent)
            checksums.remember(place, record.files[name].sha256)
    for each in folders:
        sync_folder(each)
    shutil.rmtree(staging, ignore_errors=True)


def is_complete(folder: Path) -> bool:
    """Whether all files of a model lie here, as far as can be seen from their names."""
    try:
        names = list(expected_files(folder)) or [path.name for path in folder.glob("*.onnx")]
    except ModelLoadFailed:
        return True  # there, but broken: loading it says how
    return bool(names) and all((folder / name).is_file() for name in names)


def remove_files(folder: Path, names: Iterable[str]) -> int:
    """Delete the files right in a model's folder and the named ones below it; what that frees.

    Folders below it stay, but those that are empty then. Raises OSError.
    """
    freed = 0
    named = {path for name in names if (path := folder / name).is_file()}
    within = {path for path in named if folder.resolve() in path.resolve().parents}
    for path in {*folder.iterdir(), *within}:
        if path.is_file():
            if path.stat().st_nlink == 1:
                freed += path.stat().st_size
            path.unlink()
    for parent in {path.parent for path in within} - {folder}:
        with suppress(OSError):  # something else lies there
            parent.rmdir()
    return freed


def exists(path: Path) -> bool:
    """Whether anything of that name is there, be it a pipe or a link to nothing.

    Raises OSError where nobody can tell.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _glance(
    folder: Path, name: str, facts: FileFacts, checksums: Checksums | None
) -> Problem | None:
    path = folder / name
    if not path.is_file():
        return Problem(name, "is missing" if not exists(path) else "is no file")
    if not os.access(path, os.R_OK):
        return Problem(name, "cannot be read (its permissions)")
    size = path.stat().st_size
    if size != facts.bytes:
        return Problem(name, f"is {size} bytes long instead of {facts.bytes}")
    known = checksums.known(path) if checksums is not None else None
    if known is not None and known != facts.sha256:
        return Problem(name, ALTERED)
    return None
