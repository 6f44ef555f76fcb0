"""A bundle whose model computes for a long time, in operators that are each over quickly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def slowed_bundle(source: Path, target: Path, *, multiplications: int, width: int = 512) -> Path:
    """A copy of a bundle; its transformer multiplies that many matrices before it answers.

    The result of the multiplications is added to the output, times zero.
    """
    shutil.copytree(source, target)
    (target / "transformer_decoder.onnx").chmod(0o644)
    path = target / "transformer_decoder.onnx"
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    output = graph.output[0].name
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = "before_slowing"
    identity = numpy_helper.from_array(np.eye(width, dtype=np.float32), "slow_identity")
    zero = numpy_helper.from_array(np.zeros((), np.float32), "slow_zero")
    shape = numpy_helper.from_array(np.array([width, width], np.int64), "slow_shape")
    graph.initializer.extend([identity, zero, shape])
    nodes = [
        helper.make_node("ReduceMean", ["before_slowing"], ["slow_mean"], keepdims=0),
        helper.make_node("Expand", ["slow_mean", "slow_shape"], ["slow_0"]),
        *(
            helper.make_node("MatMul", [f"slow_{n}", "slow_identity"], [f"slow_{n + 1}"])
            for n in range(multiplications)
        ),
        helper.make_node("ReduceMean", [f"slow_{multiplications}"], ["slow_end"], keepdims=0),
        helper.make_node("Mul", ["slow_end", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Add", ["before_slowing", "slow_nothing"], [output]),
    ]
    graph.node.extend(nodes)
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, path)
    drop_checksums(target / "manifest.json")
    return target


def drop_checksums(manifest: Path) -> None:
    """The changed file is no longer the one the manifest describes."""
    import json

    fields = json.loads(manifest.read_text())
    fields.pop("files", None)
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(fields))
