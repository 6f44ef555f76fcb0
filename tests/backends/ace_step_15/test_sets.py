"""Sets made of a checkpoint: whole, resumable, in every precision and of both layouts."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lofi_daemon.backends.ace_step_15.bundle import (
    AUDIO_TOKENS,
    ENCODER,
    GRAPHS,
    SILENCE,
    read_manifest,
)
from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint, read_single_tensor
from lofi_daemon.backends.ace_step_15.files import (
    AceStep15Configuration,
    AceStep15Files,
)
from lofi_daemon.backends.ace_step_15.make import SetOptions, make_set
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models import store
from lofi_daemon.models.file_set import FileSet
from lofi_daemon.models.model_files import OnProgress
from lofi_daemon.onnx.graph_writer import Precision
from tests.backends.ace_step_15.conftest import MODEL
from tests.parity.ace_step_15.checkpoints import write_diffusers, write_original

FP32 = SetOptions(precision=Precision.FP32)


def nothing(file: str, share: float) -> None:
    pass


def files_in(folder: Path, variant: str | None = None) -> AceStep15Files:
    configuration = AceStep15Configuration.model_validate({"variant": variant})
    return AceStep15Files(folder, configuration, threads=1)


def make(folder: Path, precision: str, cancel: CancelToken | None = None) -> Path:
    """The set of that precision, prepared; its folder."""
    return prepared(files_in(folder, precision), nothing, cancel)


def prepared(files: AceStep15Files, on_progress: OnProgress, cancel: CancelToken | None) -> Path:
    made = files.prepared(on_progress, cancel or CancelToken())
    assert made is not None
    return made.folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_both_layouts_give_the_same_files(model_folder: Path, tmp_path: Path) -> None:
    original, theirs = tmp_path / "a", tmp_path / "b"
    make_set(Checkpoint.find(model_folder), original, FP32, nothing, CancelToken())
    diffusers = Checkpoint.find(write_diffusers(tmp_path / "diffusers"))
    make_set(diffusers, theirs, FP32, nothing, CancelToken())
    ours, other = contents(original), contents(theirs)
    del ours["manifest.json"], other["manifest.json"]
    assert ours == other
    assert read_manifest(theirs).model_version == "1.5-turbo-fp32"


def test_the_set_says_what_it_is_and_can_be_verified(model_folder: Path) -> None:
    folder = make(model_folder, "int8")
    manifest = read_manifest(folder)
    assert manifest.model_version == "1.5-turbo-int8"
    assert not manifest.silence_known
    assert {f"{graph}.onnx" for graph in (*GRAPHS, ENCODER, AUDIO_TOKENS)} <= set(manifest.files)
    assert store.verify(folder, CancelToken()) == []
    assert not list(folder.glob("timbre_encoder*"))
    assert not list(model_folder.glob(".int8*"))


def test_what_reads_music_is_looked_after_like_the_rest(model_folder: Path) -> None:
    folder = make(model_folder, "fp32")
    weights = folder / f"{ENCODER}.bin"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    assert [
        str(problem) for problem in store.verify(folder, CancelToken()) if ENCODER in str(problem)
    ]
    weights.write_bytes(content[:-1])
    files = files_in(model_folder, "fp32")
    chosen = files.choose()
    assert chosen is not None
    assert not files.is_made(chosen)


def test_a_checkpoint_that_reads_no_music_makes_it_all_the_same(tmp_path: Path) -> None:
    diffusers = write_diffusers(tmp_path / "diffusers")
    for part in ("audio_tokenizer", "audio_token_detokenizer"):
        shutil.rmtree(diffusers / part)
    folder = tmp_path / "set"
    make_set(Checkpoint.find(diffusers), folder, FP32, nothing, CancelToken())
    there = {path.stem for path in folder.glob("*.onnx")}
    assert there == {*GRAPHS, ENCODER}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_widened_to_the_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    checkpoint = Checkpoint.find(write_original(tmp_path, dtype=dtype))
    name = "decoder.layers.0.mlp.down_proj.weight"
    from safetensors.torch import load_file

    expected = load_file(tmp_path / MODEL / "model.safetensors")[name].float().numpy()
    np.testing.assert_array_equal(checkpoint.tensor(name), expected)
    saved = torch.load(tmp_path / MODEL / "silence_latent.pt", weights_only=True)
    np.testing.assert_array_equal(checkpoint.silence(), saved[0].float().numpy().T)


def test_silence_is_read_without_running_its_pickle(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {marker}",)

    path = tmp_path / "silence_latent.pt"
    torch.save([Hostile(), torch.zeros(1, 2, 4)], path)
    values = read_single_tensor(path)
    assert values.shape == (8,)
    assert not marker.exists()
    torch.save([torch.zeros(2), torch.ones(3)], path)
    with pytest.raises(ModelLoadFailed, match="2 tensors"):
        read_single_tensor(path)


@pytest.mark.parametrize("cut", [4, 400, -100])
def test_a_broken_checkpoint_is_told_by_its_file(model_folder: Path, cut: int) -> None:
    weights = model_folder / MODEL / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:cut])
    with pytest.raises(ModelLoadFailed, match=r"model\.safetensors"):
        make(model_folder, "fp32")
    assert not (model_folder / "fp32").exists()


def test_cancelled_between_two_weights_it_goes_on_there(model_folder: Path) -> None:
    whole = contents(make(model_folder, "fp32"))
    shutil.rmtree(model_folder / "fp32")
    cancel = CancelToken()

    def stop(file: str, share: float) -> None:
        if share > 0.5:
            cancel.cancel()

    with pytest.raises(Cancelled):
        prepared(files_in(model_folder, "fp32"), stop, cancel)
    unfinished = model_folder / ".fp32"
    kept = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*.onnx")}
    assert kept
    make(model_folder, "fp32")
    assert contents(model_folder / "fp32") == whole
    for name, written in kept.items():
        assert (model_folder / "fp32" / name).stat().st_mtime_ns == written


MAKING = """
import sys
from pathlib import Path
from lofi_daemon.backends.ace_step_15.files import AceStep15Configuration, AceStep15Files
from lofi_daemon.cancellation import CancelToken
files = AceStep15Files(Path(sys.argv[1]), AceStep15Configuration(variant="fp32"), threads=1)
files.prepared(lambda file, share: print(share, flush=True), CancelToken())
"""


def test_killed_at_ten_instants_it_is_made_all_the_same(model_folder: Path) -> None:
    whole = contents(make(model_folder, "fp32"))
    shutil.rmtree(model_folder / "fp32")
    at = random.Random(3)
    killed = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", MAKING, str(model_folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # the imports are over, the first weight is written
        if killed < 10:
            time.sleep(at.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if process.returncode == -signal.SIGKILL:
            killed += 1
        files = files_in(model_folder, "fp32")
        found = files.choose()
        assert found is not None
        made = files.is_made(found)
        assert made == (model_folder / "fp32").is_dir()
        if made:
            if killed >= 10:
                break
            shutil.rmtree(model_folder / "fp32")
    assert killed >= 10
    assert contents(model_folder / "fp32") == whole


def test_another_checkpoint_is_another_set(model_folder: Path) -> None:
    make(model_folder, "fp32")
    before = (model_folder / "fp32" / SILENCE).stat().st_mtime_ns
    make(model_folder, "fp32")
    assert (model_folder / "fp32" / SILENCE).stat().st_mtime_ns == before
    config = model_folder / MODEL / "config.json"
    config.write_text(config.read_text() + "\n")
    make(model_folder, "fp32")
    assert (model_folder / "fp32" / SILENCE).stat().st_mtime_ns != before


def test_which_set_runs(model_folder: Path, tmp_path: Path) -> None:
    assert files_in(tmp_path / "nothing").choose() is None
    files = files_in(model_folder)
    planned = files.choose()
    assert planned == FileSet(model_folder / "int8", "int8", "1.5-turbo-int8", model_folder)
    assert not files.is_made(planned)
    made = make(model_folder, "fp16")
    shutil.rmtree(model_folder / MODEL)
    found = files.choose()
    assert found == FileSet(made, "fp16", "1.5-turbo-fp16")
    assert files.is_made(found)


def test_a_set_outlives_the_largest_of_what_it_was_made_of(model_folder: Path) -> None:
    made = make(model_folder, "fp32")
    (model_folder / MODEL / "model.safetensors").unlink()
    files = files_in(model_folder, "fp32")
    found = files.choose()
    assert found is not None
    assert files.is_made(found)
    assert prepared(files, nothing, None) == made


def test_what_does_not_fit_into_memory_is_not_begun(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lofi_daemon.models.model_files.available_memory", lambda: 300_000_000)
    with pytest.raises(ModelLoadFailed, match=r"Making 1\.5-turbo-fp32 .* needs 0\.5 GB.* 0\.3 GB"):
        make(model_folder, "fp32")
    assert not list(model_folder.glob(".fp32"))
