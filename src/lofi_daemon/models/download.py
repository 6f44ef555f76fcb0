"""One model from the Hub into its folder: planned, fetched, checked, put in place.

Everything arrives in `.download/` inside the model's folder and moves out only when all of it is
whole, so an interrupted download is never taken for a model. What arrived before an interruption
is used by the next attempt, at the commit that the first one saw.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelDownloadFailed
from lofi_daemon.files.documents import read_text
from lofi_daemon.files.names import inside
from lofi_daemon.models.checksums import Checksums
from lofi_daemon.models.documents import write_document
from lofi_daemon.models.listing import list_files
from lofi_daemon.models.published import ModelFile, Published, Source
from lofi_daemon.models.store import (
    DOWNLOAD_FOLDER,
    FileFacts,
    InstalledRecord,
    exists,
    put_in_place,
    read_record,
)
from lofi_daemon.models.transfer import (
    DEFAULT_RETRIES,
    RemoteFile,
    Retries,
    cannot_write,
    fetch,
)

# More than the files need, for everybody else on the disk.
SPARE_SHARE = 0.02
TELL_EVERY_SEC = 0.2
LOCK = ".download.lock"
_BEGUN = "begun"


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands; bytes count what is here, fetched now or before."""

    component: str
    component_percent: int
    overall_percent: int
    bytes_downloaded: int
    bytes_total: int
    file_name: str
    files_completed: int
    files_total: int


OnProgress = Callable[[DownloadProgress], None]


@dataclass(frozen=True)
class Plan:
    """What a download will bring. whole: names of files that are here already."""

    published: Published
    commit: str
    files: tuple[tuple[ModelFile, RemoteFile], ...]
    whole: frozenset[str]
    bytes_to_fetch: int

    @property
    def bytes_total(self) -> int:
        return sum(remote.bytes for _, remote in self.files)


def plan_download(
    published: Published,
    folder: Path,
    cancel: CancelToken,
    *,
    retries: Retries = DEFAULT_RETRIES,
) -> Plan:
    """Ask the Hub what there is and compare it with what is in the folder.

    A source without a list of files is asked for its manifest.json; where it has none, the files
    have the names that this package knows.
    Raises ModelDownloadFailed, ModelLoadFailed (a broken record), Cancelled.
    """
    try:
        return _plan(published, folder, cancel, retries)
    except OSError as error:
        raise cannot_write(error, folder) from error


def _plan(published: Published, folder: Path, cancel: CancelToken, retries: Retries) -> Plan:
    commit = _commit_begun(folder, published.source)
    files: list[tuple[ModelFile, RemoteFile]] = []
    for file, remote in list_files(published, commit, cancel, retries):
        if remote.source == published.source:
            commit = remote.commit
        _compare(file, remote)
        files.append((file, remote))
    assert commit is not None, "a model has a file of its own"
    whole = {f.name for f, remote in files if _is_whole(folder / f.name, remote, cancel)}
    staging = folder / DOWNLOAD_FOLDER
    missing = sum(
        remote.bytes - _size(_partial(staging, file, remote))
        for file, remote in files
        if file.name not in whole and not _is_whole(staging / file.name, remote, cancel)
    )
    return Plan(published, commit, tuple(files), frozenset(whole), missing)


def download(
    plan: Plan,
    folder: Path,
    on_progress: OnProgress,
    cancel: CancelToken,
    *,
    retries: Retries = DEFAULT_RETRIES,
) -> InstalledRecord:
    """Carry the plan out; afterwards the folder holds the model and its record.

    Raises ModelDownloadFailed, Cancelled; what has arrived stays for the next attempt.
    """
    staging = folder / DOWNLOAD_FOLDER
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=0):
            _remember_commit(staging, plan)
            _remove_strangers(staging, plan)
            _check_space(plan, folder)
            facts = _fetch_all(plan, folder, _Tally(plan, on_progress), cancel, retries)
            record = InstalledRecord(
                model=plan.published.model,
                source=str(plan.published.source.model_copy(update={"revision": plan.commit})),
                licence=str(plan.published.licence),
                files=facts,
            )
            put_in_place(folder, record, staging, Checksums())
            return record
    except Timeout as error:
        raise ModelDownloadFailed(
            f"Another process is downloading {plan.published.title} into {folder}.",
            hint="Wait for it, or stop it.",
        ) from error
    except OSError as error:
        raise cannot_write(error, folder) from error


def _fetch_all(
    plan: Plan, folder: Path, tally: _Tally, cancel: CancelToken, retries: Retries
) -> dict[str, FileFacts]:
    """Every file of the plan, whole in its place or in the staging folder."""
    staging = folder / DOWNLOAD_FOLDER
    facts: dict[str, FileFacts] = {}
    for file, remote in plan.files:
        tally.begin(file)
        installed, staged = inside(folder, file.name), inside(staging, file.name)
        place = installed if _is_whole(installed, remote, cancel) else staged
        if place is staged and not _is_whole(staged, remote, cancel):
            partial = _partial(staging, file, remote)
            partial.parent.mkdir(parents=True, exist_ok=True)
            fetch(remote, partial, tally.arrived, cancel, retries)
            partial.replace(staged)
        sha256 = remote.sha256 or Checksums().of(place, cancel)
        facts[file.name] = FileFacts(bytes=remote.bytes, sha256=sha256)
        tally.end(remote.bytes)
    return facts


class _Tally:
    """Counts bytes, of the whole and of each component, and tells of them a few times a second."""

    def __init__(self, plan: Plan, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._total = plan.bytes_total
        self._files_total = len(plan.files)
        self._component_total: dict[str, int] = {}
        for file, remote in plan.files:
            total = self._component_total.get(file.component, 0)
            self._component_total[file.component] = total + remote.bytes
        self._component_done = dict.fromkeys(self._component_total, 0)
        self._file = plan.files[0][0]
        self._completed = 0
        self._told_at = 0.0

    def begin(self, file: ModelFile) -> None:
        self._file = file

    def end(self, size: int) -> None:
        self._component_done[self._file.component] += size
        self._completed += 1
        self._tell(0)

    def arrived(self, of_this_file: int) -> None:
        if time.monotonic() - self._told_at >= TELL_EVERY_SEC:
            self._tell(of_this_file)

    def _tell(self, of_this_file: int) -> None:
        self._told_at = time.monotonic()
        component = self._file.component
        done = sum(self._component_done.values()) + of_this_file
        component_done = self._component_done[component] + of_this_file
        self._on_progress(
            DownloadProgress(
                component=component,
                component_percent=_percent(component_done, self._component_total[component]),
                overall_percent=_percent(done, self._total),
                bytes_downloaded=done,
                bytes_total=self._total,
                file_name=self._file.name,
                files_completed=self._completed,
                files_total=self._files_total,
            )
        )


def _compare(file: ModelFile, remote: RemoteFile) -> None:
    """Raises ModelDownloadFailed where the Hub has another file than is known to be right."""
    sums_differ = file.sha256 and remote.sha256 and file.sha256 != remote.sha256
    if sums_differ or (file.bytes is not None and file.bytes != remote.bytes):
        raise ModelDownloadFailed(
            f"{remote.path} at {remote.source} is another file than this version knows.",
            hint="Update lofi-daemon, or name the revision that belongs to it.",
        )


def _is_whole(path: Path, remote: RemoteFile, cancel: CancelToken) -> bool:
    if not path.is_file() or path.stat().st_size != remote.bytes:
        return False
    if remote.sha256 is None:
        return remote.matches(path, cancel)
    return Checksums().of(path, cancel) == remote.sha256


def _commit_begun(folder: Path, source: Source) -> str | None:
    """The commit that an earlier, unfinished or finished, download of this source has seen.

    A damaged file is so replaced by its own version, and not by a newer one.
    """
    begun = folder / DOWNLOAD_FOLDER / _BEGUN
    text = ""
    if exists(begun):
        with suppress(OSError, ValueError):  # whatever else it is, it is no commit
            text = read_text(begun)
    else:
        record = read_record(folder)
        if record is not None:
            text = record.source
    at = str(source.model_copy(update={"revision": ""}))
    commit = text.removeprefix(at)
    return commit if text.startswith(at) and re.fullmatch("[0-9a-f]{40}", commit) else None


def _remember_commit(staging: Path, plan: Plan) -> None:
    source = plan.published.source.model_copy(update={"revision": plan.commit})
    write_document(staging / _BEGUN, str(source))


def _remove_strangers(staging: Path, plan: Plan) -> None:
    """Partial files of another commit or source: nothing will ever complete them."""
    expected = {staging / _BEGUN}
    for file, remote in plan.files:
        expected |= {staging / file.name, _partial(staging, file, remote)}
    for path in staging.rglob("*"):
        if path.is_file() and path not in expected:
            path.unlink()


def _check_space(plan: Plan, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    needed = round(plan.bytes_to_fetch * (1.0 + SPARE_SHARE))
    if plan.bytes_to_fetch and free < needed:
        raise ModelDownloadFailed(
            f"{plan.published.title} needs {megabytes(needed)} in {folder}, "
            f"where {megabytes(free)} are free.",
            hint="Free some space, or choose another folder; what has arrived is kept.",
            needed_bytes=needed,
            free_bytes=free,
        )


def megabytes(count: int) -> str:
    """A size as people read it."""
    return f"{count / 1e9:.2f} GB" if count >= 1_000_000_000 else f"{count / 1e6:.1f} MB"


def _partial(staging: Path, file: ModelFile, remote: RemoteFile) -> Path:
    """Where a file grows: named after its contents, so that another version begins anew."""
    return staging / f"{file.name}.{remote.etag[:16]}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _percent(done: int, total: int) -> int:
    return 100 if total == 0 else 100 * done // total
