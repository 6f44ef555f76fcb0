"""onnxruntime's failures told as what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.onnx.failures import is_out_of_memory, load_failure, run_failure
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from tests.onnx.graphs import as_many_zeros_as_asked, half_precision_sum

FILE = Path("/models/decoder.onnx")


@pytest.mark.parametrize("arena", [True, False])
def test_a_call_without_memory_is_told_as_that(tmp_path: Path, arena: bool) -> None:
    """With and without its arena onnxruntime says it in two ways."""
    model = OnnxModel(as_many_zeros_as_asked(tmp_path / "zeros.onnx"), SessionSettings(arena=arena))
    with pytest.raises(ModelInferenceFailed, match=r"not enough memory to run zeros\.onnx") as told:
        model.run({"n": np.array([2**46])}, CancelToken())
    assert "shorter track" in told.value.hint
    assert "download" not in told.value.hint
    assert "seed" not in told.value.hint


def test_loading_without_memory_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc")

    monkeypatch.setattr(ort, "InferenceSession", no_memory)
    with pytest.raises(ModelLoadFailed, match="not enough memory to load") as told:
        OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SessionSettings())
    assert "ownload" not in told.value.hint


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("bad allocation"),
        RuntimeError("Available memory of 12 is smaller than requested bytes of 34"),
        RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 99"),
        RuntimeError("mmap of weights.bin: Cannot allocate memory"),
        RuntimeError("CUDA failure 2: out of memory"),
        RuntimeError("0x8007000E E_OUTOFMEMORY Not enough memory resources"),
    ],
)
def test_every_way_of_having_no_memory(error: Exception) -> None:
    assert is_out_of_memory(error)
    for failure in (load_failure(FILE, error), run_failure(FILE, error)):
        assert "not enough memory" in failure.message
        assert failure.data["out_of_memory"]


def test_a_damaged_file_is_told_as_that(tmp_path: Path) -> None:
    path = half_precision_sum(tmp_path / "sum.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelLoadFailed, match=r"sum\.onnx cannot be loaded, it is damaged") as told:
        OnnxModel(path, SessionSettings())
    assert "Download the model again" in told.value.hint


def test_what_may_not_be_read_is_no_reason_for_a_download() -> None:
    failure = load_failure(FILE, RuntimeError("open file /models/decoder.onnx: Permission denied"))
    assert "ownload" not in failure.hint


def test_anything_else_says_the_first_line() -> None:
    failure = run_failure(FILE, RuntimeError("Invalid dimensions\nat node 7"))
    assert failure.message == "decoder.onnx failed: Invalid dimensions"
    assert run_failure(FILE, RuntimeError("")).message == "decoder.onnx failed: RuntimeError"
