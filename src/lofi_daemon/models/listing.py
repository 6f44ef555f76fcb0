"""Which files a download brings, where that has to be asked of the source itself."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelDownloadFailed
from lofi_daemon.files.names import FileName
from lofi_daemon.models.documents import MANIFEST, read_checked
from lofi_daemon.models.published import ModelFile, Published, Source
from lofi_daemon.models.store import expected_files
from lofi_daemon.models.transfer import NotAtSource, RemoteFile, Retries, describe_remote, fetch

MAX_DOCUMENT_BYTES = 8 << 20
SHARDED = ".safetensors"
INDEX = ".index.json"


class _Index(BaseModel):
    """Which file holds which weight."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    weight_map: dict[str, FileName]


def list_files(
    published: Published, commit: str | None, cancel: CancelToken, retries: Retries
) -> Iterator[tuple[ModelFile, RemoteFile]]:
    """Every file of the model, with what the Hub says of it; those of one source at one commit.

    A source other than the model's own is asked for its manifest.json; where it has none, the files
    have the names that this package knows. Weights that are not in one file are in several, which
    an index names. Raises ModelDownloadFailed, ModelLoadFailed (of a broken list), Cancelled.
    """
    files = published.files
    commits = {str(published.source): commit}
    if published.elsewhere:
        files = _listed(published, commit, cancel, retries)
    for file in files:
        cancel.raise_if_cancelled()
        source = published.source_of(file)
        commit = commits.get(str(source))
        try:
            remote = describe_remote(source, file.source_path, commit, retries)
        except NotAtSource as missing:
            if not file.name.endswith(SHARDED):
                raise
            for found in _shards(source, file, commit, missing, cancel, retries):
                commits[str(source)] = found[1].commit
                yield found
            continue
        commits[str(source)] = remote.commit
        yield file, remote


def _listed(
    published: Published, commit: str | None, cancel: CancelToken, retries: Retries
) -> tuple[ModelFile, ...]:
    """The files that the source's own manifest.json lists, itself among them."""
    document = ModelFile(name=MANIFEST, component="manifest")
    try:
        remote = describe_remote(published.source, document.name, commit, retries)
    except NotAtSource:
        return published.files
    with _document(remote, "manifest", document.name, cancel, retries) as copy:
        listed = expected_files(copy.parent)
    if not listed:
        raise ModelDownloadFailed(
            f"{remote.path} at {remote.source} lists no files.", hint="Use another repository."
        )
    return (
        *(
            ModelFile(
                name=name,
                component=PurePosixPath(name).stem,
                bytes=facts.bytes,
                sha256=facts.sha256,
            )
            for name, facts in listed.items()
            if name != MANIFEST
        ),
        document,
    )


def _shards(
    source: Source,
    whole: ModelFile,
    commit: str | None,
    missing: NotAtSource,
    cancel: CancelToken,
    retries: Retries,
) -> Iterator[tuple[ModelFile, RemoteFile]]:
    """The index of weights that are not in one file, and the files that it names.

    Raises `missing` where there is no index either.
    """
    index = _beside(whole, f"{PurePosixPath(whole.name).name}{INDEX}")
    try:
        remote = describe_remote(source, index.source_path, commit, retries)
    except NotAtSource:
        raise missing from None
    with _document(remote, "index", PurePosixPath(index.name).name, cancel, retries) as copy:
        names = sorted(set(read_checked(copy, _Index).weight_map.values()))
    yield index, remote
    for name in names:
        cancel.raise_if_cancelled()
        shard = _beside(whole, name)
        path = shard.source_path
        yield shard, describe_remote(source, path, remote.commit, retries)


def _beside(file: ModelFile, name: str) -> ModelFile:
    """Another file of the same component, in the same folder."""
    return ModelFile(
        name=(PurePosixPath(file.name).parent / name).as_posix(),
        path=(PurePosixPath(file.source_path).parent / name).as_posix(),
        component=file.component,
        repository=file.repository,
    )


@contextmanager
def _document(
    remote: RemoteFile, what: str, name: str, cancel: CancelToken, retries: Retries
) -> Generator[Path]:
    """A small document of the source, for as long as it is looked at."""
    if remote.bytes > MAX_DOCUMENT_BYTES:
        raise ModelDownloadFailed(
            f"{remote.path} at {remote.source} has {remote.bytes / 1e6:.1f} MB: it is no {what}.",
            hint="Use another repository.",
        )
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / name
        fetch(remote, copy, lambda present: None, cancel, retries)
        yield copy
