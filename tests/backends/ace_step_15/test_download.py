"""From the Hub's original files to a track, by the command line: whole, sharded, and killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from tests.backends.ace_step_15.conftest import MODEL
from tests.daemon_process import REPOSITORY
from tests.models.hub_server import COMMIT, HubServer

NEEDED = (MODEL, "Qwen3-Embedding-0.6B", "vae")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.close()


class Lofi:
    """The command line of a user of its own, and the model's folder there."""

    def __init__(self, home: Path, hub: HubServer) -> None:
        self.folder = home / "lofi.nvim" / "ace-step-15"
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
            "HF_ENDPOINT": hub.endpoint,
            "XDG_CACHE_HOME": str(home),
            "LOFI_ACE_STEP_15_VARIANT": "fp32",
            "LOFI_THREADS": "1",
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lofi_daemon", *arguments],
            env={**self._environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, status: int = 0, **variables: str) -> str:
        process = self.start(*arguments, **variables)
        output, said = process.communicate()
        assert process.returncode == status, said
        return output + said

    def track(self, path: Path, **variables: str) -> np.ndarray:
        self(
            *("--prompt", "rain, 70 bpm", "--backend", "ace_step_15", "--duration", "5"),
            *("--seed", "3", "--steps", "2", "--output", str(path)),
            **variables,
        )
        sound, rate = soundfile.read(path, always_2d=True)
        assert (sound.shape, rate) == ((240_000, 2), 48_000)
        assert np.abs(sound).max() > 0.1
        return sound


@pytest.fixture
def lofi(tmp_path: Path, hub: HubServer) -> Lofi:
    return Lofi(tmp_path / "home", hub)


def served(checkpoint: Path) -> dict[str, bytes]:
    return {
        path.relative_to(checkpoint).as_posix(): path.read_bytes()
        for folder in NEEDED
        for path in (checkpoint / folder).rglob("*")
        if path.is_file()
    }


def in_shards(checkpoint: Path, folder: Path) -> Path:
    """The same checkpoint with the weights of its largest part in three files and an index."""
    shutil.copytree(checkpoint, folder)
    whole = folder / MODEL / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    shards = {name: f"model-0000{i % 3 + 1}-of-00003.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({n: tensors[n] for n in tensors if shards[n] == shard}, whole.parent / shard)
    index = whole.with_name("model.safetensors.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


@pytest.mark.parametrize("layout", ["one file", "shards"])
def test_from_the_hub_to_a_track(
    pristine_checkpoint: Path, tmp_path: Path, hub: HubServer, lofi: Lofi, layout: str
) -> None:
    checkpoint = pristine_checkpoint
    if layout == "shards":
        checkpoint = in_shards(checkpoint, tmp_path / "shards")
    hub.serve(served(checkpoint))
    told = lofi("download", "ace_step_15", "--yes")
    assert f"1.5-turbo-fp32 is made of it in {lofi.folder / 'fp32'}" in told
    record = json.loads((lofi.folder / "installed.json").read_text())
    assert record["source"] == f"ACE-Step/Ace-Step1.5@{COMMIT}"
    assert set(record["files"]) == set(served(checkpoint))
    sound = lofi.track(tmp_path / "track.wav")
    assert "ACE-Step 1.5 turbo is whole in" in lofi("verify", "ace_step_15")
    told = lofi("quantize", "ace_step_15", "--bits", "8", "--replace")
    assert f"1.5-turbo-int8 is complete in {lofi.folder / 'int8'}" in told
    left = {path.name for path in lofi.folder.iterdir() if not path.name.startswith(".")}
    assert left == {"fp32", "int8"}
    np.testing.assert_array_equal(lofi.track(tmp_path / "again.wav"), sound)
    lofi.track(tmp_path / "smaller.wav", LOFI_ACE_STEP_15_VARIANT="int8")
    weights = lofi.folder / "fp32" / "transformer.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert "transformer.bin is altered" in lofi("verify", "ace_step_15", status=1)


def test_another_model_comes_with_the_parts_that_all_of_them_share(
    pristine_checkpoint: Path, tmp_path: Path, hub: HubServer, lofi: Lofi
) -> None:
    """Its own files lie at the top of its repository, the others in the main one."""
    files = {
        path.removeprefix(f"{MODEL}/"): content
        for path, content in served(pristine_checkpoint).items()
    }
    config = {**json.loads(files["config.json"]), "is_turbo": False, "model_version": "sft"}
    hub.serve({**files, "config.json": json.dumps(config).encode()})
    told = lofi("download", "ace_step_15", "--yes", LOFI_ACE_STEP_15_MODEL="sft")
    folder = lofi.folder.with_name("ace-step-15-sft")
    assert f"1.5-sft-fp32 is made of it in {folder / 'fp32'}" in told
    assert not lofi.folder.exists()
    asked = {request.split("/resolve/")[0] for request in hub.repository.requests}
    own, shared = "/ACE-Step/acestep-v15-sft", "/ACE-Step/Ace-Step1.5"
    assert {f"HEAD {own}", f"HEAD {shared}"} <= asked
    for request in hub.repository.requests:
        if request.startswith("HEAD") and "/resolve/" in request:
            of_all = "/Qwen3-Embedding-0.6B/" in request or "/vae/" in request
            assert (shared in request) == of_all, request
    record = json.loads((folder / "installed.json").read_text())
    assert record["source"] == f"ACE-Step/acestep-v15-sft@{COMMIT}"
    lofi.track(tmp_path / "track.wav", LOFI_ACE_STEP_15_MODEL="sft")


def test_an_index_without_its_shards_is_named(
    pristine_checkpoint: Path, tmp_path: Path, hub: HubServer, lofi: Lofi
) -> None:
    files = served(in_shards(pristine_checkpoint, tmp_path / "shards"))
    missing = f"{MODEL}/model-00002-of-00003.safetensors"
    hub.serve({path: content for path, content in files.items() if path != missing})
    assert missing in lofi("download", "ace_step_15", "--yes", status=1)


def test_killed_at_any_instant_it_goes_on(
    pristine_checkpoint: Path, tmp_path: Path, hub: HubServer, lofi: Lofi
) -> None:
    files = served(pristine_checkpoint)
    other = Lofi(tmp_path / "undisturbed", hub)
    hub.serve(files)
    other("download", "ace_step_15", "--yes")
    total = sum(map(len, files.values()))
    hub.repository.forget_traffic()
    hub.repository.bytes_per_sec = total / 2.0
    unfinished = lofi.folder / ".fp32"
    made = sum(path.stat().st_size for path in (other.folder / "fp32").iterdir())

    def sent(share: float) -> Callable[[], bool]:
        return lambda: hub.repository.bytes_sent >= share * total

    def written(share: float) -> Callable[[], bool]:
        return lambda: size_of(unfinished) >= share * made

    kills = {"downloading": 0, "making": 0}
    for instant in [sent(0.05), sent(0.3), sent(0.6), sent(0.9)]:
        kills["downloading"] += killed(lofi, instant)
        assert not (lofi.folder / "installed.json").exists()
    assert hub.repository.bytes_sent < 1.3 * total, "what has arrived is not fetched again"
    hub.repository.bytes_per_sec = None
    for share in (0.01, 0.2, 0.4, 0.6, 0.8, 0.95):
        kills["making"] += killed(lofi, written(share))
    assert kills["downloading"] == 4
    assert kills["making"] >= 3
    lofi("download", "ace_step_15", "--yes")
    assert contents(lofi.folder / "fp32") == contents(other.folder / "fp32")
    assert not unfinished.exists()
    assert "is whole in" in lofi("verify", "ace_step_15")


def killed(lofi: Lofi, instant: Callable[[], bool]) -> bool:
    """Start the download and kill it then; whether it was still under way."""
    process = lofi.start("download", "ace_step_15", "--yes")
    deadline = time.monotonic() + 120.0
    while process.poll() is None and not instant():
        assert time.monotonic() < deadline, "it came to nothing in two minutes"
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode == -9


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # renamed just now
            continue
    return total
