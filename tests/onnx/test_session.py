"""Loading, casting and stopping one graph."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed, ModelNotFound
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from tests.onnx.graphs import half_precision_sum, slow_chain

SETTINGS = SessionSettings()


def test_names_types_and_fixed_axes_are_read_from_the_graph(tmp_path: Path) -> None:
    model = OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SETTINGS)
    assert model.inputs["x"].shape == (2, None)
    assert model.inputs["x"].dtype is np.float16
    assert model.accepts("n")
    assert not model.accepts("m")


def test_feeds_are_cast_to_the_declared_types_and_results_come_as_float32(tmp_path: Path) -> None:
    model = OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SETTINGS)
    x = np.array([[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]], dtype=np.float64)
    (out,) = model.run({"x": x, "n": np.array([2], dtype=np.int32)}, CancelToken())
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, x + 2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"nothing\.onnx is missing"):
        OnnxModel(tmp_path / "nothing.onnx", SETTINGS)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = half_precision_sum(tmp_path / "sum.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelLoadFailed, match=r"sum\.onnx cannot be loaded"):
        OnnxModel(path, SETTINGS)


def test_a_missing_input_names_file_and_tensor(tmp_path: Path) -> None:
    path = half_precision_sum(tmp_path / "sum.onnx")
    with pytest.raises(ModelLoadFailed, match=r"sum\.onnx has no input latents; it has x, n"):
        OnnxModel(path, SETTINGS, required_inputs=("x", "latents"))


def test_a_failing_call_names_the_file(tmp_path: Path) -> None:
    model = OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SETTINGS)
    with pytest.raises(ModelInferenceFailed, match=r"sum\.onnx failed"):
        model.run({"x": np.zeros((3, 1)), "n": np.zeros(1)}, CancelToken())


def test_cancelling_stops_in_the_middle_of_a_call(tmp_path: Path) -> None:
    model = OnnxModel(slow_chain(tmp_path / "slow.onnx"), SETTINGS)
    cancel, stopped_at = CancelToken(), [0.0]

    def work() -> None:
        with pytest.raises(Cancelled):
            model.run({"x": np.ones((1280, 1280), dtype=np.float32)}, cancel)
        stopped_at[0] = time.monotonic()

    worker = threading.Thread(target=work)
    started = time.monotonic()
    worker.start()
    time.sleep(0.3)
    assert worker.is_alive()
    asked = time.monotonic()
    cancel.cancel()
    worker.join()
    assert asked - started < 1.0
    assert stopped_at[0] - asked < 0.25


def test_a_cancelled_token_starts_no_call(tmp_path: Path) -> None:
    model = OnnxModel(half_precision_sum(tmp_path / "sum.onnx"), SETTINGS)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        model.run({"x": np.zeros((2, 1)), "n": np.zeros(1)}, cancel)
