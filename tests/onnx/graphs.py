"""Small real ONNX graphs for the session's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10
OPSET = 17


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray],
) -> Path:
    initialisers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initialisers)
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return path


def half_precision_sum(path: Path) -> Path:
    """out = x + n with x float16 [2, free] and n int64 [1]; the result is float16."""
    return save(
        path,
        [
            helper.make_node("Cast", ["n"], ["n16"], to=TensorProto.FLOAT16),
            helper.make_node("Add", ["x", "n16"], ["out"]),
        ],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT16, [2, "free"]),
            helper.make_tensor_value_info("n", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT16, [2, "free"])],
        {},
    )


def slow_chain(path: Path, *, products: int = 400, width: int = 1280) -> Path:
    """`products` matrix products of width × width one after another: many seconds a call."""
    nodes, last = [], "x"
    for index in range(products):
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"p{index}"]))
        last = f"p{index}"
    nodes.append(helper.make_node("Identity", [last], ["out"]))
    shape = [width, width]
    weights = {"w": (np.eye(width, dtype=np.float32) * 0.999)}
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        weights,
    )


def as_many_zeros_as_asked(path: Path) -> Path:
    """out = zeros of the shape [n], n int64 [1]: memory by the terabyte for who asks."""
    return save(
        path,
        [helper.make_node("ConstantOfShape", ["n"], ["out"])],
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["free"])],
        {},
    )
