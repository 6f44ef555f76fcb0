"""The nodes that multiply with a packed matrix where a node multiplied with a plain one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnx import NodeProto, TensorProto, helper

from lofi_daemon.models.quantize.matrices import ConstantMatrix, widened_weights
from lofi_daemon.onnx.weight_formats import Packing, multiplication


def replaced_nodes(
    nodes: Sequence[NodeProto],
    matrices: Mapping[str, ConstantMatrix],
    weights: Mapping[str, TensorProto],
) -> Iterator[NodeProto]:
    """A graph's nodes, with those that use one of `matrices` replaced; weights: by name."""
    widened = widened_weights(nodes, weights)
    for index, node in enumerate(nodes):
        if widened.get(node.output[0]) in matrices:
            continue
        name = node.input[1] if len(node.input) > 1 else ""
        matrix = matrices.get(widened.get(name, name))
        if matrix is None:
            yield node
        else:
            yield from _multiplication(node, f"quantized_{index}", matrix)


def _multiplication(node: NodeProto, stem: str, matrix: ConstantMatrix) -> Iterator[NodeProto]:
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
    packing = Packing(matrix.format, matrix.use.rows, matrix.use.columns)
    yield multiplication(packing, current, tensors, product, stem)
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
