"""Which constants of a graph are stored in fewer bits, and in which format each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from lofi_daemon.onnx.weight_formats import PackedWeights, WeightFormat, pack, rounding_error

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
class Use:
    """How a node multiplies with a constant [K, N]: held transposed or not, in half precision."""

    rows: int
    columns: int
    transposed: bool
    half: bool


@dataclass(frozen=True)
class ConstantMatrix:
    """A constant matrix that will be packed."""

    name: str
    use: Use
    format: WeightFormat


def find_matrices(
    nodes: Sequence[NodeProto], weights: Mapping[str, TensorProto], plan: QuantizePlan
) -> dict[str, ConstantMatrix]:
    """Constant matrices that nothing but multiplications use, each with its format."""
    widened = widened_weights(nodes, weights)
    uses: dict[str, Use] = {}
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
    matrices: dict[str, ConstantMatrix] = {}
    for name, use in large.items():
        is_single = times[use.rows, use.columns] < REPEATED
        is_sensitive = any(part in places[name] for part in plan.sensitive)
        if not is_single or use.rows * use.columns >= plan.min_single_elements:
            chosen = plan.single if is_single or is_sensitive else plan.repeated
            matrices[name] = ConstantMatrix(name, use, chosen)
    return matrices


def widened_weights(
    nodes: Iterable[NodeProto], weights: Mapping[str, TensorProto]
) -> dict[str, str]:
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
) -> Use | None:
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
        return Use(dims[0], dims[1], False, half)
    if node.op_type == "Gemm" and len(dims) == 2:
        if not given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 or given.get("transA", 0):
            return None
        transposed = bool(given.get("transB", 0))
        rows, columns = reversed(dims) if transposed else dims
        return Use(rows, columns, transposed, half)
    if node.op_type == "Conv" and len(dims) in (3, 4) and all(size == 1 for size in dims[2:]):
        moves = [*given.get("strides", [1]), *given.get("dilations", [1])]
        if given.get("group", 1) == 1 and set(moves) == {1} and not any(given.get("pads", [])):
            return Use(dims[1], dims[0], True, half)
    return None


def pack_matrix(
    value: NDArray[Any], matrix: ConstantMatrix, plan: QuantizePlan
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
