"""One file of the Hub into a partial file, as often interrupted as it may be.

huggingface_hub makes the requests, so its token, endpoint, proxies, offline switch and timeouts
hold. Its own `hf_hub_download` is not used: it downloads into a file of a random name that it
deletes when it fails, so that nothing is left to go on from after a crash ten gigabytes long.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelDownloadFailed
from lofi_daemon.models.checksums import hash_file, hash_git_blob
from lofi_daemon.models.client import LIMIT, watch_downloads
from lofi_daemon.models.published import Source

log = logging.getLogger(__name__)

# Attempts in a row that bring nothing new; the waits between them double.
MAX_FRUITLESS_ATTEMPTS = 6
MAX_WAIT_SEC = 16.0

OnProgress = Callable[[int], None]
"""Gets how many bytes of the file are here now."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as the Hub describes it; etag: its SHA-256, or git's blob id if the file is small."""

    source: Source
    path: str
    commit: str
    bytes: int
    etag: str

    @property
    def url(self) -> str:
        return _url(self.source, self.path, self.commit)

    @property
    def sha256(self) -> str | None:
        return self.etag if len(self.etag) == 64 else None

    def matches(self, file: Path, cancel: CancelToken) -> bool:
        """Whether the file's size and contents are this one's. Raises Cancelled, OSError."""
        if file.stat().st_size != self.bytes:
            return False
        if self.sha256 is None:
            return hash_git_blob(file) == self.etag
        return hash_file(file, cancel) == self.etag


@dataclass(frozen=True)
class Retries:
    """wait_sec: before the second attempt."""

    attempts: int = MAX_FRUITLESS_ATTEMPTS
    wait_sec: float = 1.0


DEFAULT_RETRIES = Retries()


class NotAtSource(ModelDownloadFailed):
    """The repository, revision or file does not exist, or is hidden from this user."""


def describe_remote(source: Source, path: str, commit: str | None, retries: Retries) -> RemoteFile:
    """What the Hub says of a file at a commit, or at the source's revision.

    Raises ModelDownloadFailed.
    """
    watch_downloads()
    with _explained(source, path):
        url = _url(source, path, commit or source.revision)
    for attempt in range(retries.attempts):
        try:
            with _explained(source, path):
                facts = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        except _Transient as problem:
            _wait(problem, attempt, retries, f"{source.repository} did not describe {path}")
            continue
        etag, size, at = facts.etag, facts.size, facts.commit_hash
        if at is None or not re.fullmatch("[0-9a-f]{40}", at) or etag is None or size is None:
            raise ModelDownloadFailed(
                f"{url} is not answered as the Hugging Face Hub does (no commit, etag or size).",
                hint="Check HF_ENDPOINT, proxy and firewall.",
            )
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag):
            raise ModelDownloadFailed(
                f"{url} comes without a checksum (its etag is {etag[:80]}).",
                hint="Use another mirror in HF_ENDPOINT.",
            )
        return RemoteFile(source, path, at, size, etag)
    raise AssertionError("the last attempt raises")


def fetch(
    remote: RemoteFile,
    partial: Path,
    on_progress: OnProgress,
    cancel: CancelToken,
    retries: Retries,
) -> None:
    """Complete the partial file, going on after the bytes that are there, and check its contents.

    Contents that are wrong are fetched once more from the start.
    Raises ModelDownloadFailed, Cancelled; what has arrived stays for the next time.
    """
    for _ in range(2):
        _complete(remote, partial, on_progress, cancel, retries)
        if remote.matches(partial, cancel):
            return
        log.warning("%s arrived with a wrong checksum", remote.path)
        partial.unlink()
    raise ModelDownloadFailed(
        f"{remote.path} arrived twice with a wrong checksum from {remote.source.repository}.",
        hint="Something between here and the Hub alters data (a proxy?); try another network.",
    )


def _complete(
    remote: RemoteFile,
    partial: Path,
    on_progress: OnProgress,
    cancel: CancelToken,
    retries: Retries,
) -> None:
    attempt = 0
    while True:
        present = partial.stat().st_size if partial.exists() else 0
        if present > remote.bytes:
            partial.unlink()
            present = 0
        on_progress(present)
        if present == remote.bytes and partial.exists():
            return
        try:
            with _explained(remote.source, remote.path, partial):
                _receive(remote, partial, present, on_progress, cancel)
        except _Transient as problem:
            if partial.exists() and partial.stat().st_size > present:
                attempt = 0
            _wait(problem, attempt, retries, f"{remote.path} stopped arriving")
            attempt += 1


def _receive(
    remote: RemoteFile,
    partial: Path,
    present: int,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> None:
    """One request for what is missing after the first `present` bytes."""
    headers = build_hf_headers()
    # Compressed on the way, offsets would mean something else.
    headers["Accept-Encoding"] = "identity"
    if present:
        headers["Range"] = f"bytes={present}-"
    # One byte more than is expected, so that more than that is seen.
    limit = remote.bytes + 1
    with get_session().stream(
        "GET",
        remote.url,
        headers=headers,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        extensions={LIMIT: limit},
    ) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        if response.status_code == 200:
            present = 0
        elif not _is_the_rest(response.headers.get("Content-Range", ""), present, remote.bytes):
            partial.unlink(missing_ok=True)
            raise _Transient("another range than asked for was sent")
        with partial.open("r+b" if present else "wb") as stream:
            stream.seek(present)
            for block in response.iter_bytes():
                cancel.raise_if_cancelled()
                present += len(block)
                if present > remote.bytes:
                    raise _Transient("more than the whole file was sent")
                stream.write(block)
                stream.flush()
                on_progress(present)
        if present < remote.bytes:
            raise _Transient("the file ended too early")


def _is_the_rest(content_range: str, present: int, total: int) -> bool:
    return content_range.replace(" ", "") == f"bytes{present}-{total - 1}/{total}"


class _Transient(Exception):
    """Worth another attempt."""


@contextmanager
def _explained(source: Source, path: str, partial: Path | None = None) -> Generator[None]:
    """Say what went wrong in the user's terms, or that another attempt may do."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ModelDownloadFailed(
            "HF_HUB_OFFLINE is set, so nothing is downloaded.",
            hint="Unset it, or bring the files and run `lofi-daemon import`.",
        ) from error
    except GatedRepoError as error:
        raise ModelDownloadFailed(
            f"{source.repository} asks you to accept its terms first.",
            hint=f"Accept them at {constants.ENDPOINT}/{source.repository} and set HF_TOKEN.",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise NotAtSource(
            f"{path} is not at {source} ({_status(error)}).",
            hint="Check the repository's name; if it is a private one, set HF_TOKEN.",
        ) from error
    except HfHubHTTPError as error:
        if error.response.status_code in (408, 416, 429, 500, 502, 503, 504):
            if error.response.status_code == 416 and partial is not None:
                partial.unlink(missing_ok=True)
            raise _Transient(_status(error)) from error
        if error.response.status_code == 404:  # without the Hub's own words: some other server
            raise NotAtSource(
                f"{constants.ENDPOINT} has no {path} of {source} (HTTP 404).",
                hint="Check the address in HF_ENDPOINT; a mirror may lack this repository.",
            ) from error
        refused = error.response.status_code in (401, 403)
        raise ModelDownloadFailed(
            f"{constants.ENDPOINT} refused {path} of {source} ({_status(error)}).",
            hint="Set HF_TOKEN to a token that may read this repository."
            if refused
            else "Check the address in HF_ENDPOINT, and proxy and firewall.",
        ) from error
    except (HFValidationError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise ModelDownloadFailed(
            f"{path} of {source} cannot be asked for: {str(error).splitlines()[0]:.200}",
            hint="Check the repository's name and HF_ENDPOINT.",
        ) from error
    except httpx2.RequestError as error:
        raise _Transient(str(error) or type(error).__name__) from error
    except OSError as error:
        raise cannot_write(error, partial) from error


def cannot_write(error: OSError, path: Path | None) -> ModelDownloadFailed:
    """What an OSError means for the download, with how much room there is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and path is not None:
        free = shutil.disk_usage(path.parent).free
        return ModelDownloadFailed(
            f"The disk is full: {path.parent} has {free / 1e6:.1f} MB left.",
            hint="Free some space and ask again; what has arrived is kept.",
            free_bytes=free,
        )
    return ModelDownloadFailed(
        f"Cannot write {error.filename or path or 'the file'}: {error.strerror or error}.",
        hint="Make the folder writable, or choose another one.",
    )


def _wait(problem: _Transient, attempt: int, retries: Retries, what: str) -> None:
    """Raises ModelDownloadFailed after the last attempt."""
    if attempt + 1 >= retries.attempts:
        raise ModelDownloadFailed(
            f"{what} ({problem}), after {retries.attempts} attempts.",
            hint="Check the network and ask again; the download goes on where it stopped.",
        ) from problem
    log.warning("%s (%s); trying again", what, problem)
    time.sleep(min(MAX_WAIT_SEC, retries.wait_sec * 2**attempt))


def _status(error: Any) -> str:
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__


def _url(source: Source, path: str, revision: str) -> str:
    return hf_hub_url(source.repository, path, subfolder=source.folder or None, revision=revision)
