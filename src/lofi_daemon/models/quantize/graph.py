"""One ONNX graph with its large matrices in fewer bits, written weight by weight.

The memory of one matrix is enough, however large the graph's weights are. A journal beside the
unfinished file says which weights are in it; interrupted at any instant, the next run goes on
after the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import GraphProto, helper

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.quantize.matrices import QuantizePlan, find_matrices, pack_matrix
from lofi_daemon.models.quantize.nodes import replaced_nodes
from lofi_daemon.onnx.external_weights import read_model, read_weight
from lofi_daemon.onnx.weight_file import WeightFile
from lofi_daemon.onnx.weight_formats import MICROSOFT, PackedWeights, WeightFormat

OnWeight = Callable[[int, int], None]
"""Gets how many of how many weights are written."""


def matrix_share(graph: GraphProto, plan: QuantizePlan) -> float:
    """How much of a graph's weights `quantize_graph` would pack, from 0 to 1."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    sizes = {name: math.prod(tensor.dims) for name, tensor in weights.items()}
    packed = sum(sizes[name] for name in find_matrices(graph.node, weights, plan))
    return packed / max(1, sum(sizes.values()))


def quantize_graph(
    source: Path, target: Path, plan: QuantizePlan, on_weight: OnWeight, cancel: CancelToken
) -> Mapping[str, float]:
    """Write `target` and `target` with the suffix .bin, which holds its weights.

    What multiplies with a constant matrix is replaced: MatMul, Gemm, and convolutions of width 1.
    Everything else stays as it is. Half precision weights are packed from their float32 values.
    Returns the sensitivity table: by the name of every matrix that was to have 4 bits, how much
    they change it (root mean square, relative).
    Raises ModelLoadFailed where the source cannot be read, OSError, Cancelled.
    """
    model = read_model(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    matrices = find_matrices(graph.node, weights, plan)
    data = target.with_suffix(".bin")
    writer = WeightFile(data, _identity(source, plan))
    for index, tensor in enumerate(graph.initializer):
        cancel.raise_if_cancelled()
        if not writer.has(tensor.name):
            value = read_weight(tensor, source.parent)
            matrix = matrices.get(tensor.name)
            if matrix is None:
                writer.write(tensor.name, {"": value})
            else:
                packed, error = pack_matrix(value, matrix, plan)
                facts = {"format": packed.packing.format.value, "error": error}
                writer.write(tensor.name, _by_suffix(packed), facts)
        on_weight(index + 1, len(graph.initializer))
    matrices = {
        name: replace(matrix, format=WeightFormat(writer.facts(name)["format"]))
        for name, matrix in matrices.items()
    }
    errors = {name: writer.facts(name)["error"] for name in matrices}
    kept = {name: writer.tensors(name) for name in weights}
    nodes = list(replaced_nodes(graph.node, matrices, weights))
    del graph.initializer[:]
    del graph.node[:]
    graph.initializer.extend(tensor for tensors in kept.values() for tensor in tensors)
    graph.node.extend(nodes)
    if matrices and all(each.domain != MICROSOFT for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    writer.finish()
    temporary = target.with_suffix(".onnx.part")
    onnx.save(model, str(temporary))
    temporary.replace(target)
    return {name: error for name, error in errors.items() if error is not None}


def _by_suffix(packed: PackedWeights) -> dict[str, NDArray[Any]]:
    return {f".{role}": tensor for role, tensor in packed.tensors.items()}


def _identity(source: Path, plan: QuantizePlan) -> dict[str, Any]:
    """What a journal must agree with, so that halves of different work are never joined."""
    state = source.stat()
    return {
        "source": [state.st_size, state.st_mtime_ns],
        "plan": [*map(str, vars(plan).values())],
    }
