"""Convolutions over time rewritten as convolutions over images compute the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lofi_daemon.onnx.images import convolutions_as_images

CHANNELS = 8
node = helper.make_node


def _weights(*names_and_shapes: tuple[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        name: (generator.standard_normal(shape) / 4).astype(np.float32)
        for name, shape in names_and_shapes
    }


def _model(
    nodes: list[NodeProto],
    weights: dict[str, np.ndarray],
    outputs: tuple[str, ...] = ("y",),
    opset: int = 18,
) -> ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "sound",
        [value("x", TensorProto.FLOAT, [1, CHANNELS, "time"])],
        [value(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(tensor, name) for name, tensor in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _run(model: ModelProto | Path) -> list[np.ndarray]:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((1, CHANNELS, 33)).astype(np.float32)
    return session.run(None, {"x": x})


def _same(model: ModelProto, convolutions: int) -> Counter[str]:
    """Rewrites it; the operators that it has then."""
    expected = _run(model)
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    assert convolutions_as_images(rewritten) == convolutions
    for name in ("Conv", "ConvTranspose"):
        for each in rewritten.graph.node:
            if each.op_type == name:
                sizes = {a.name: list(a.ints) for a in each.attribute}
                assert all(len(values) in (2, 4) for values in sizes.values() if values)
    for found, wanted in zip(_run(rewritten), expected, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    return Counter(each.op_type for each in rewritten.graph.node)


@pytest.mark.parametrize("opset", [11, 18])
def test_a_residual_block_is_one_image_from_end_to_end(opset: int) -> None:
    kernel = (CHANNELS, CHANNELS, 3)
    weights = _weights(
        ("w1", kernel), ("b1", (CHANNELS,)), ("w2", kernel), ("column", (CHANNELS, 1)),
        ("row", (1, CHANNELS, 1)), ("number", ()),
    )  # fmt: skip
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], kernel_shape=[3], dilations=[2], pads=[2, 2]),
        node("Sigmoid", ["c1"], ["s1"]),
        node("Mul", ["c1", "s1"], ["a1"]),
        node("Mul", ["a1", "column"], ["a2"]),
        node("Add", ["row", "a2"], ["a3"]),
        node("Div", ["a3", "number"], ["a4"]),
        node("Conv", ["a4", "w2"], ["c2"], pads=[1, 1]),
        node("Add", ["c2", "c1"], ["y"]),
    ]
    kinds = _same(_model(nodes, weights, opset=opset), 2)
    # One image is made of x, two of constants; one is made a sound again.
    assert (kinds["Unsqueeze"], kinds["Squeeze"]) == (3, 1)


def test_strides_groups_and_transposed_convolutions() -> None:
    weights = _weights(
        ("depth", (CHANNELS, 1, 5)), ("down", (CHANNELS, CHANNELS, 4)), ("up", (CHANNELS, 2, 4)),
    )  # fmt: skip
    nodes = [
        node("Conv", ["x", "depth"], ["c1"], group=CHANNELS, auto_pad="SAME_UPPER"),
        node("Conv", ["c1", "down"], ["c2"], strides=[2], pads=[1, 2]),
        node("LeakyRelu", ["c2"], ["a2"], alpha=0.1),
        node(
            "ConvTranspose", ["a2", "up"], ["y"], kernel_shape=[4], strides=[3], pads=[1, 0],
            output_padding=[1],
        ),
    ]  # fmt: skip
    kinds = _same(_model(nodes, weights), 3)
    assert (kinds["Unsqueeze"], kinds["Squeeze"]) == (1, 1)


def test_what_reads_sound_gets_sound() -> None:
    """A norm over channels between two convolutions, and values that are given to the outside."""
    kernel = (CHANNELS, CHANNELS, 3)
    weights = _weights(("w1", kernel), ("w2", kernel))
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1, 1]),
        node("Transpose", ["c1"], ["t"], perm=[0, 2, 1]),
        node("Softmax", ["t"], ["n"], axis=-1),
        node("Transpose", ["n"], ["back"], perm=[0, 2, 1]),
        node("Add", ["back", "c1"], ["sum"]),
        node("Conv", ["sum", "w2"], ["c2"], pads=[1, 1]),
        node("Tanh", ["c2"], ["y"]),
        node("Add", ["x", "y"], ["z"]),
    ]
    _same(_model(nodes, weights, ("c1", "y", "z")), 2)


def test_weights_that_others_read_too_stay() -> None:
    weights = _weights(("w", (CHANNELS, CHANNELS, 3)), ("half", (CHANNELS, CHANNELS, 1)))
    weights["half"] = weights["half"].astype(np.float16)
    nodes = [
        node("Conv", ["x", "w"], ["c1"], pads=[1, 1]),
        node("Conv", ["c1", "w"], ["c2"], pads=[1, 1]),
        node("ReduceSum", ["w"], ["total"], keepdims=0),
        node("Cast", ["half"], ["widened"], to=TensorProto.FLOAT),
        node("Conv", ["c2", "widened"], ["c3"], kernel_shape=[1]),
        node("Add", ["c3", "total"], ["y"]),
    ]
    _same(_model(nodes, weights), 3)


def test_weights_beside_the_graph_stay_there(tmp_path: Path) -> None:
    weights = _weights(("w", (CHANNELS, CHANNELS, 9)))
    path = tmp_path / "sound.onnx"
    onnx.save_model(
        _model([node("Conv", ["x", "w"], ["y"])], weights), str(path),
        save_as_external_data=True, location="sound.weights", size_threshold=16,
    )  # fmt: skip
    expected = _run(path)
    model = onnx.load(str(path), load_external_data=False)
    assert convolutions_as_images(model) == 1
    before = (tmp_path / "sound.weights").read_bytes()
    onnx.save(model, str(path))
    assert path.stat().st_size < 1000
    assert (tmp_path / "sound.weights").read_bytes() == before
    np.testing.assert_allclose(_run(path)[0], expected[0], atol=1e-5)


def test_images_and_graphs_without_convolutions_stay_as_they_are() -> None:
    weights = _weights(("w", (CHANNELS, CHANNELS, 1, 3)))
    weights["axis"] = np.array([2])
    model = _model(
        [node("Unsqueeze", ["x", "axis"], ["i"]), node("Conv", ["i", "w"], ["y"])], weights
    )
    before = model.SerializeToString()
    assert convolutions_as_images(model) == 0
    assert model.SerializeToString() == before
