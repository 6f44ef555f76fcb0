"""One ONNX graph with its large matrices in fewer bits, written weight by weight.

The memory of one matrix is enough, however large the graph's weights are. A journal beside the
unfinished file says which weights are in it; interrupted at any instant, the next run goes on
after the last of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models.weight_file import WeightFile
from lofi_daemon.models.weight_formats import (
    MICROSOFT,
    PackedWeights,
    WeightFormat,
    multiplication,
    pack,
    rounding_error,
)

# Smaller matrices stay as they are: they are fast and cost nothing.
MIN_ELEMENTS = 1 << 16
# A shape that comes up less often does not belong to the repeated blocks but to the few layers
# that everything passes through. Of those, only what is large is worth its error: in the diffusion
# transformer the layers at both ends are 1 % of the weights and make most of the error of int8.
REPEATED = 4
MIN_SINGLE_ELEMENTS = 1 << 24
# Cross attention enters the residual stream without a gate. In 8 bits it takes a quarter more room
# and leaves a third of int4's error (python -m benchmarks.sensitivity).
SENSITIVE = ("cross_attn",)

# Rounding a normal distribution to 4 bits changes it by 0.09. A matrix that loses more than this
# has outliers, and keeps 8 bits.
MAX_ROUNDING_ERROR = 0.12
# So many columns tell how well a matrix takes 4 bits.
SAMPLED_COLUMNS = 256

OnWeight = Callable[[int, int], None]
"""Gets how many of how many weights are written."""


@dataclass(frozen=True)
class QuantizePlan:
    """repeated: the format for matrices of the repeated blocks; single: for the others, for those
    with a part of `sensitive` in their own or their node's name, and for those that 4 bits would
    change by more than max_rounding_error. Smaller ones stay as they are."""

    repeated: WeightFormat
    single: WeightFormat
    min_elements: int = MIN_ELEMENTS
    min_single_elements: int = MIN_SINGLE_ELEMENTS
    sensitive: tuple[str, ...] = SENSITIVE
    max_rounding_error: float = MAX_ROUNDING_ERROR


@dataclass(frozen=True)
class _Use:
    """How a node multiplies with a constant [K, N]: held transposed or not, in half precision."""

    rows: int
    columns: int
    transposed: bool
    half: bool


@dataclass(frozen=True)
class _Matrix:
    """A constant matrix that will be packed."""

    name: str
    use: _Use
    format: WeightFormat


def matrix_share(source: Path, plan: QuantizePlan) -> float:
    """How much of a graph's weights `quantize_graph` would pack, from 0 to 1.

    Raises ModelLoadFailed.
    """
    graph = _read_model(source).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    sizes = {name: math.prod(tensor.dims) for name, tensor in weights.items()}
    packed = sum(sizes[name] for name in _find_matrices(graph.node, weights, plan))
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
    model = _read_model(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    matrices = _find_matrices(graph.node, weights, plan)
    data = target.with_suffix(".bin")
    writer = WeightFile(data, _identity(source, plan))
    for index, tensor in enumerate(graph.initializer):
        cancel.raise_if_cancelled()
        if not writer.has(tensor.name):
            value = _read_tensor(tensor, source.parent)
            matrix = matrices.get(tensor.name)
            if matrix is None:
                writer.write(tensor.name, {"": value})
            else:
                packed, error = _packed(value, matrix, plan)
                facts = {"format": packed.format.value, "error": error}
                writer.write(tensor.name, _by_suffix(packed), facts)
        on_weight(index + 1, len(graph.initializer))
    matrices = {
        name: replace(matrix, format=WeightFormat(writer.facts(name)["format"]))
        for name, matrix in matrices.items()
    }
    errors = {name: writer.facts(name)["error"] for name in matrices}
    kept = {name: writer.tensors(name) for name in weights}
    nodes = list(_replaced(graph.node, matrices, weights))
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


def _read_model(source: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(source), load_external_data=False)
    except Exception as error:
        raise ModelLoadFailed(f"Model file {source} cannot be read: {error}") from error


def _find_matrices(
    nodes: Sequence[NodeProto], weights: Mapping[str, TensorProto], plan: QuantizePlan
) -> dict[str, _Matrix]:
    """Constant matrices that nothing but multiplications use, each with its format."""
    widened = _widened(nodes, weights)
    uses: dict[str, _Use] = {}
    places: dict[str, str] = {}
    used_otherwise: set[str] = set()
    for node in nodes:
        if node.output[0] in widened:
            continue
        use = _use_of(node, weights, widened)
        for position, name in enumerate([*node.input, *_names_in_subgraphs(node)]):
            weight = widened.get(name, name)
            if weight not in weights:
                continue
            if use is None or position != 1 or uses.setdefault(weight, use) != use:
                used_otherwise.add(weight)
            places[weight] = f"{weight} {node.name}"
    large = {
        name: use
        for name, use in uses.items()
        if name not in used_otherwise and use.rows * use.columns >= plan.min_elements
    }
    times = Counter((use.rows, use.columns) for use in large.values())
    matrices: dict[str, _Matrix] = {}
    for name, use in large.items():
        is_single = times[use.rows, use.columns] < REPEATED
        is_sensitive = any(part in places[name] for part in plan.sensitive)
        if not is_single or use.rows * use.columns >= plan.min_single_elements:
            chosen = plan.single if is_single or is_sensitive else plan.repeated
            matrices[name] = _Matrix(name, use, chosen)
    return matrices


def _widened(nodes: Iterable[NodeProto], weights: Mapping[str, TensorProto]) -> dict[str, str]:
    """Values that are half precision weights cast to float32, and the weights' names."""
    return {
        node.output[0]: node.input[0]
        for node in nodes
        if node.op_type == "Cast"
        and node.input[0] in weights
        and weights[node.input[0]].data_type == TensorProto.FLOAT16
        and helper.get_attribute_value(node.attribute[0]) == TensorProto.FLOAT
    }


def _names_in_subgraphs(node: NodeProto) -> Iterator[str]:
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
            yield from _names_in_subgraphs(inner)


def _use_of(
    node: NodeProto, weights: Mapping[str, TensorProto], widened: Mapping[str, str]
) -> _Use | None:
    """How the node multiplies with a constant; None if it does not."""
    if len(node.input) < 2 or node.domain not in ("", "ai.onnx"):
        return None
    weight = weights.get(widened.get(node.input[1], node.input[1]))
    if weight is None or weight.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        return None
    half = weight.data_type == TensorProto.FLOAT16 and node.input[1] not in widened
    dims = list(weight.dims)
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "MatMul" and len(dims) == 2:
        return _Use(dims[0], dims[1], False, half)
    if node.op_type == "Gemm" and len(dims) == 2:
        if not given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 or given.get("transA", 0):
            return None
        transposed = bool(given.get("transB", 0))
        rows, columns = reversed(dims) if transposed else dims
        return _Use(rows, columns, transposed, half)
    if node.op_type == "Conv" and len(dims) in (3, 4) and all(size == 1 for size in dims[2:]):
        moves = [*given.get("strides", [1]), *given.get("dilations", [1])]
        if given.get("group", 1) == 1 and set(moves) == {1} and not any(given.get("pads", [])):
            return _Use(dims[1], dims[0], True, half)
    return None


def _packed(
    value: NDArray[Any], matrix: _Matrix, plan: QuantizePlan
) -> tuple[PackedWeights, float | None]:
    """The matrix in its format, and, where that has 4 bits, what they change."""
    two_axes = value.reshape(value.shape[0], value.shape[1])
    plain = two_axes.T if matrix.use.transposed else two_axes
    plain = np.ascontiguousarray(plain, dtype=np.float32)
    if matrix.format is not WeightFormat.INT4_BLOCKS:
        return pack(plain, matrix.format), None
    sample = np.ascontiguousarray(plain[:, :: -(-plain.shape[1] // SAMPLED_COLUMNS)])
    error = round(rounding_error(sample, pack(sample, matrix.format)), 4)
    chosen = plan.single if error > plan.max_rounding_error else matrix.format
    return pack(plain, chosen), error


def _by_suffix(packed: PackedWeights) -> dict[str, NDArray[Any]]:
    return {f".{role}": tensor for role, tensor in packed.tensors.items()}


def _replaced(
    nodes: Sequence[NodeProto], matrices: Mapping[str, _Matrix], weights: Mapping[str, TensorProto]
) -> Iterator[NodeProto]:
    widened = _widened(nodes, weights)
    for index, node in enumerate(nodes):
        if widened.get(node.output[0]) in matrices:
            continue
        name = node.input[1] if len(node.input) > 1 else ""
        matrix = matrices.get(widened.get(name, name))
        if matrix is None:
            yield node
        else:
            yield from _multiplication(node, f"quantized_{index}", matrix)


def _multiplication(node: NodeProto, stem: str, matrix: _Matrix) -> Iterator[NodeProto]:
    """The nodes that do what `node` did: around the product, casts, transposes and a bias."""
    before: list[tuple[str, dict[str, Any], list[str]]] = []
    after: list[tuple[str, dict[str, Any], list[str]]] = []
    if node.op_type == "Conv":
        spatial = _spatial_axes(node)
        before.append(("Transpose", {"perm": [0, *range(2, 2 + spatial), 1]}, []))
        after.append(("Transpose", {"perm": [0, 1 + spatial, *range(1, 1 + spatial)]}, []))
    if matrix.use.half:
        before.append(("Cast", {"to": TensorProto.FLOAT}, []))
        after.insert(0, ("Cast", {"to": TensorProto.FLOAT16}, []))
    if len(node.input) > 2 and node.input[2]:
        after.insert(1 if matrix.use.half else 0, ("Add", {}, [node.input[2]]))
    current = node.input[0]
    for number, (kind, attributes, more) in enumerate(before):
        output = f"{stem}_before_{number}"
        yield helper.make_node(kind, [current, *more], [output], name=output, **attributes)
        current = output
    product = f"{stem}_product" if after else node.output[0]
    tensors = {role: f"{matrix.name}.{role}" for role in ("weight", "scale")}
    yield multiplication(
        matrix.format, matrix.use.rows, matrix.use.columns, current, tensors, product, stem
    )
    current = product
    for number, (kind, attributes, more) in enumerate(after):
        last = number == len(after) - 1
        output = node.output[0] if last else f"{stem}_after_{number}"
        name = f"{stem}_after_{number}"
        yield helper.make_node(kind, [current, *more], [output], name=name, **attributes)
        current = output


def _spatial_axes(node: NodeProto) -> int:
    kernel = next(each for each in node.attribute if each.name == "kernel_shape")
    return len(kernel.ints)


def _read_tensor(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """One tensor's values, read from its own place and nowhere else."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    where = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    path = folder / where["location"]
    count = int(np.prod(tensor.dims, dtype=np.int64))
    values = np.fromfile(path, dtype=dtype, count=count, offset=int(where.get("offset", 0)))
    if values.size != count:
        raise ModelLoadFailed(f"Model file {path} ends inside the weight {tensor.name}.")
    return values.reshape(tuple(tensor.dims))


def _identity(source: Path, plan: QuantizePlan) -> dict[str, Any]:
    """What a journal must agree with, so that halves of different work are never joined."""
    state = source.stat()
    return {
        "source": [state.st_size, state.st_mtime_ns],
        "plan": [*map(str, vars(plan).values())],
    }
