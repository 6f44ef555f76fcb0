"""A Hub on loopback, and downloads in processes that can be killed."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import set_forkserver_preload
from pathlib import Path
from random import Random

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from tests.models.download_child import Outcome, run_download
from tests.models.hub_server import HubRepository, HubServer

ACE_STEP = Registry(Settings()).files("ace_step").source()
Start = Callable[..., "tuple[ForkServerProcess, Callable[[], Outcome]]"]


@pytest.fixture(scope="session")
def hub_server() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def start_download(hub_server: HubServer) -> Start:
    """start(folder, model, repository, environment): the process and what waits for its outcome.

    The processes are forked from one that has the imports behind it, so that a kill meets the
    download and not the start of Python.
    """
    os.environ["HF_ENDPOINT"] = hub_server.endpoint
    os.environ["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
    set_forkserver_preload(["tests.models.download_child"])
    context = multiprocessing.get_context("forkserver")

    def start(
        folder: Path,
        model: str = "ace_step",
        repository: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> tuple[ForkServerProcess, Callable[[], Outcome]]:
        receiving, sending = context.Pipe(duplex=False)
        environment = {"XDG_CACHE_HOME": str(folder.parent / "cache"), **(environment or {})}
        process = context.Process(
            target=run_download, args=(sending, model, folder, repository, environment)
        )
        process.start()
        sending.close()

        def wait() -> Outcome:
            outcome: Outcome = receiving.recv()
            process.join()
            return outcome

        return process, wait

    return start


@pytest.fixture
def download_model(start_download: Start) -> Callable[..., Outcome]:
    """Download to the end and say how it went."""
    return lambda *args, **kwargs: start_download(*args, **kwargs)[1]()


@pytest.fixture
def hub(hub_server: HubServer) -> HubRepository:
    """A repository with the published ACE-Step files, small: 1.3 MB in all."""
    return hub_server.serve(published_files(1_000_000))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def published_files(weights_bytes: int) -> dict[str, bytes]:
    """Random bytes under the published names, by path in the repository."""
    random = Random(7)
    sizes = {"tokenizer.json": 1_500, "transformer_decoder_weights.bin": weights_bytes}
    return {
        f"ace-step/{file.name}": random.randbytes(sizes.get(file.name, 60_000))
        for file in ACE_STEP.files
    }


def assert_installed(folder: Path, files: dict[str, bytes]) -> None:
    """Every file is there with its bytes, the record names them, and nothing else is left."""
    for path, contents in files.items():
        assert (folder / Path(path).name).read_bytes() == contents, path
    record = json.loads((folder / "installed.json").read_text())
    assert set(record["files"]) == {Path(path).name for path in files}
    left = {path.name for path in folder.iterdir()} - {Path(path).name for path in files}
    assert left <= {"installed.json", ".download.lock"}
