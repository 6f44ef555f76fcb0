"""Products of bytes are exact on every processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx import processor
from lofi_daemon.onnx.session import OnnxModel, SessionSettings


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("flags\t\t: fpu avx2 fma", True),
        ("flags\t\t: fpu avx2 avx_vnni", False),
        ("flags\t\t: avx512f avx512_vnni", False),
        ("", True),
    ],
)
def test_what_the_processor_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, saturates: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    monkeypatch.setattr(processor, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(processor.sys, "platform", "linux")
    assert processor.byte_products_saturate.__wrapped__() is saturates


def test_an_arm_processor_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor.platform, "machine", lambda: "aarch64")
    assert not processor.byte_products_saturate.__wrapped__()


def test_the_largest_bytes_are_multiplied_exactly(tmp_path: Path) -> None:
    """255 · 127 + 255 · 127 does not fit into 16 bits."""
    weight = np.full((64, 64), 127, dtype=np.int8)
    graph = helper.make_graph(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["bytes", "scale", "zero"]),
            helper.make_node("MatMulInteger", ["bytes", "weight", "zero"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT),
        ],
        "bytes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 64])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "bytes.onnx"))
    loaded = OnnxModel(tmp_path / "bytes.onnx", SessionSettings(threads=1))
    (sums,) = loaded.run({"x": np.ones((2, 64), dtype=np.float32)}, CancelToken())
    np.testing.assert_array_equal(sums, 64 * 255 * 127)
