"""Convolutions over time as convolutions over an image of height 1.

What is computed stays the same, but onnxruntime has its blocked layout, which needs neither copies
of its input nor its transposition, for images only. Element by element operators between
convolutions move with them, so that the layout is entered and left as rarely as possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

CONVOLUTIONS = ("Conv", "ConvTranspose")
# Over their first input; others, if any, are single numbers.
OF_ONE = frozenset(
    {"Sigmoid", "Tanh", "Relu", "LeakyRelu", "Elu", "Erf", "Gelu", "Sin", "Neg", "Exp", "Sqrt",
     "Softplus", "Clip", "Identity"}
)  # fmt: skip
OF_MORE = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Sum"})
AXES_ARE_INPUTS_FROM = 13


def convolutions_as_images(model: ModelProto) -> int:
    """Rewrite a graph in place; how many convolutions became images.

    Weights stay where they lie, inside the graph or beside it: only their declared shape changes.
    """
    versions = {each.domain: each.version for each in model.opset_import}
    rewriting = _Rewriting(model.graph, versions.get("", versions.get("ai.onnx", 1)))
    rewriting.run()
    return rewriting.count


class _Rewriting:
    """Walks through the nodes. A value that became an image [B, C, 1, T] is written as [B, C, T]
    only where something else reads it."""

    def __init__(self, graph: GraphProto, opset: int) -> None:
        self._graph = graph
        self._opset = opset
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._readers = Counter(name for node in graph.node for name in _read_by(node))
        # Old graphs declare their weights as inputs too.
        self._readers.update(value.name for value in graph.input)
        self._images: dict[str, str] = {}
        self._only_images: set[str] = set()
        self._reshaped: set[str] = set()
        self._nodes: list[NodeProto] = []
        self._axes: set[int] = set()
        self.count = 0

    def run(self) -> None:
        if not any(self._is_convolution_over_time(node) for node in self._graph.node):
            return
        for node in self._graph.node:
            if self._is_convolution_over_time(node):
                self._convolution(node)
            elif self._moves_along(node):
                self._elementwise(node)
            else:
                self._other(node)
        for output in self._graph.output:
            self._flat(output.name)
        gone = self._only_images
        kept = [info for info in self._graph.value_info if info.name not in gone]
        del self._graph.value_info[:]
        self._graph.value_info.extend(kept)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _is_convolution_over_time(self, node: NodeProto) -> bool:
        if node.op_type not in CONVOLUTIONS or node.domain not in ("", "ai.onnx"):
            return False
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if given.get("output_shape"):
            return False
        weight = self._weights.get(node.input[1])
        if weight is not None:
            return len(weight.dims) == 3 or weight.name in self._reshaped
        return len(given.get("kernel_shape", ())) == 1

    def _convolution(self, node: NodeProto) -> None:
        written = NodeProto()
        written.CopyFrom(node)
        written.input[0] = self._image(node.input[0])
        written.input[1] = self._image_of_weight(node.input[1])
        for attribute in written.attribute:
            values = list(attribute.ints)
            if attribute.name in ("kernel_shape", "strides", "dilations"):
                attribute.ints[:] = [1, *values]
            elif attribute.name == "output_padding":
                attribute.ints[:] = [0, *values]
            elif attribute.name == "pads":
                attribute.ints[:] = [0, values[0], 0, values[1]]
        self._becomes_image(written)
        self.count += 1

    def _moves_along(self, node: NodeProto) -> bool:
        if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            return False
        if node.op_type in OF_ONE:
            return node.input[0] in self._images
        values = [name for name in node.input if name not in self._weights]
        return node.op_type in OF_MORE and bool(values) and self._images.keys() >= set(values)

    def _elementwise(self, node: NodeProto) -> None:
        written = NodeProto()
        written.CopyFrom(node)
        for position, name in enumerate(node.input):
            if name in self._images:
                written.input[position] = self._images[name]
            elif node.op_type in OF_MORE and len(self._weights[name].dims) > 1:
                written.input[position] = self._image(name, len(self._weights[name].dims) - 1)
        self._becomes_image(written)

    def _other(self, node: NodeProto) -> None:
        for name in _read_by(node):
            self._flat(name)
        self._nodes.append(node)

    def _becomes_image(self, node: NodeProto) -> None:
        name = node.output[0]
        node.output[0] = f"{name}.image"
        self._images[name] = node.output[0]
        self._only_images.add(name)
        self._nodes.append(node)

    def _image(self, name: str, axis: int = 2) -> str:
        if name not in self._images:
            self._images[name] = f"{name}.image"
            self._reshape("Unsqueeze", name, self._images[name], axis)
        return self._images[name]

    def _image_of_weight(self, name: str) -> str:
        weight = self._weights.get(name)
        if weight is None or self._readers[name] > 1:
            return self._image(name)
        weight.dims.insert(2, 1)
        self._reshaped.add(name)
        return name

    def _flat(self, name: str) -> None:
        """Make the value itself where only its image is there."""
        if name in self._only_images:
            self._only_images.remove(name)
            self._reshape("Squeeze", self._images[name], name, 2)

    def _reshape(self, operator: str, value: str, result: str, axis: int) -> None:
        if self._opset < AXES_ARE_INPUTS_FROM:
            node = helper.make_node(operator, [value], [result], name=result, axes=[axis])
        else:
            axes = f"images.axis.{axis}"
            if axis not in self._axes:
                self._axes.add(axis)
                self._graph.initializer.append(
                    numpy_helper.from_array(np.array([axis], dtype=np.int64), axes)
                )
            node = helper.make_node(operator, [value, axes], [result], name=result)
        self._nodes.append(node)


def _read_by(node: NodeProto) -> Iterator[str]:
    """What a node reads, in its subgraphs too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)
