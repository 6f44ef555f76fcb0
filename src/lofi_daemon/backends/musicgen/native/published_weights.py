"""The decoder's weights out of published graphs, whatever their nodes are called.

Exporters rename and transpose weights, so they are found by structure: keys and values lie behind
the outputs that carry their names, and everything else of a layer is one chain of data, whose
order no exporter can change. What is found is checked by running it (see convert.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import DecoderConfig
from lofi_daemon.onnx.external_weights import read_model, read_weight

Weight = NDArray[np.float32]

# Operators through which data comes in more than one input; of all others only the first is
# data, the rest are shapes, axes and indices.
_JOINING = frozenset({"Concat", "Add", "Sub", "Mul", "Div"})
_PASSING = frozenset({"Cast", "Identity", "Transpose"})


class UnrecognisedGraph(Exception):
    """The graph is not built as a MusicGen decoder is."""


class LazyWeights(Mapping[str, Weight]):
    """Weights that are read, and widened to float32, when they are asked for."""

    def __init__(self, readers: Mapping[str, Callable[[], Weight]]) -> None:
        self._readers = readers

    def __getitem__(self, name: str) -> Weight:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def decoder_weights(path: Path, config: DecoderConfig) -> LazyWeights:
    """What write_decoder needs, from decoder_with_past_model.onnx. Raises UnrecognisedGraph."""
    graph = _Graph(path)
    readers: dict[str, Callable[[], Weight]] = {}
    taken: set[str] = set()
    for layer in range(config.num_hidden_layers):
        for part in ("key", "value"):
            node = graph.only_linear_behind(f"present.{layer}.decoder.{part}")
            taken.add(node.output[0])
            readers[f"layers.{layer}.self_attn.{part[0]}_proj.weight"] = graph.linear_reader(node)
    heads = graph.linears_behind("logits")
    taken |= {node.output[0] for node in heads}
    _expect("output heads", len(heads), config.num_codebooks)
    for codebook, node in enumerate(heads):
        readers[f"lm_heads.{codebook}.weight"] = graph.linear_reader(node)
    wide, inner = config.hidden_size, config.ffn_dim
    shapes = {(wide, wide), (wide, inner), (inner, wide)}
    # Whatever else is there (a projection of the text that nothing uses) has another shape.
    chain = [
        node
        for node in graph.linears()
        if node.output[0] not in taken and graph.shape(node.input[1]) in shapes
    ]
    names = [
        f"layers.{layer}.{name}.weight"
        for layer in range(config.num_hidden_layers)
        for name in (
            "self_attn.q_proj", "self_attn.out_proj",
            "encoder_attn.q_proj", "encoder_attn.out_proj",
            "fc1", "fc2",
        )
    ]  # fmt: skip
    _expect("linear layers", len(chain), len(names))
    for name, node in zip(names, chain, strict=True):
        readers[name] = graph.linear_reader(node)
    norms = graph.norms(config.hidden_size)
    norm_names = [
        *(
            f"layers.{layer}.{name}"
            for layer in range(config.num_hidden_layers)
            for name in ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")
        ),
        "layer_norm",
    ]
    _expect("layer norms", len(norms), len(norm_names))
    for name, (weight, bias) in zip(norm_names, norms, strict=True):
        readers[f"{name}.weight"] = graph.reader(weight)
        readers[f"{name}.bias"] = graph.reader(bias)
    tables = graph.tables((config.vocab_size + 1, config.hidden_size))
    _expect("embedding tables", len(tables), config.num_codebooks)
    for codebook, table in enumerate(tables):
        readers[f"embed_tokens.{codebook}.weight"] = graph.reader(table)
    return LazyWeights(readers)


def cross_attention_weights(path: Path, config: DecoderConfig) -> LazyWeights:
    """What write_cross_attention needs, from decoder_model.onnx. Raises UnrecognisedGraph."""
    graph = _Graph(path)
    readers: dict[str, Callable[[], Weight]] = {}
    projections: list[onnx.NodeProto] = []
    for layer in range(config.num_hidden_layers):
        for part in ("key", "value"):
            node = graph.only_linear_behind(f"present.{layer}.encoder.{part}")
            readers[f"layers.{layer}.encoder_attn.{part[0]}_proj.weight"] = graph.linear_reader(
                node
            )
            projections = graph.linears_behind(node.input[0])
    if projections:
        _expect("projections of the text", len(projections), 1)
        readers["enc_to_dec_proj.weight"] = graph.linear_reader(projections[0])
        readers["enc_to_dec_proj.bias"] = graph.reader(graph.bias_of(projections[0]))
    return LazyWeights(readers)


class _Graph:
    """A graph with its edges in both directions and its constants by name."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        graph = read_model(path).graph
        self._nodes = list(graph.node)
        self._outputs = {output.name for output in graph.output}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {name: node for node in self._nodes for name in node.output}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant, seen through casts and transpositions; else None."""
        if name in self._initializers:
            return tuple(self._initializers[name].dims)
        node = self._producers.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            return tuple(node.attribute[0].t.dims)
        if node.op_type not in _PASSING:
            return None
        inner = self.shape(node.input[0])
        if inner is not None and node.op_type == "Transpose":
            return tuple(inner[axis] for axis in _permutation(node, len(inner)))
        return inner

    def value(self, name: str) -> Weight:
        """A constant, float32. Raises UnrecognisedGraph for a computed value."""
        if name in self._initializers:
            weight = read_weight(self._initializers[name], self._folder)
            return np.asarray(weight, dtype=np.float32)
        node = self._producers.get(name)
        if node is None or node.op_type not in (*_PASSING, "Constant"):
            raise UnrecognisedGraph(f"the weight {name} is computed")
        if node.op_type == "Constant":
            return np.asarray(onnx.numpy_helper.to_array(node.attribute[0].t), dtype=np.float32)
        inner = self.value(node.input[0])
        if node.op_type == "Transpose":
            return inner.transpose(_permutation(node, inner.ndim))
        return inner

    def reader(self, name: str) -> Callable[[], Weight]:
        return lambda: self.value(name)

    def is_linear(self, node: onnx.NodeProto) -> bool:
        """A product with a constant matrix."""
        if node.op_type not in ("MatMul", "Gemm"):
            return False
        shape = self.shape(node.input[1])
        return shape is not None and len(shape) == 2

    def linears(self) -> list[onnx.NodeProto]:
        """All of them in order; a node never comes before what it depends on."""
        return [node for node in self._nodes if self.is_linear(node)]

    def linear_reader(self, node: onnx.NodeProto) -> Callable[[], Weight]:
        """Reads the weight as [outputs, inputs]."""
        transposed = any(a.name == "transB" and a.i == 1 for a in node.attribute)

        def read() -> Weight:
            weight = self.value(node.input[1])
            return weight if transposed else weight.T

        return read

    def linears_behind(self, name: str) -> list[onnx.NodeProto]:
        """The nearest linear nodes that a value is made from, in the order of the inputs."""
        node = self._producers.get(name)
        if node is None:
            return []
        if self.is_linear(node):
            return [node]
        inputs = node.input if node.op_type in _JOINING else node.input[:1]
        return [linear for value in inputs for linear in self.linears_behind(value)]

    def only_linear_behind(self, name: str) -> onnx.NodeProto:
        if name not in self._outputs:
            raise UnrecognisedGraph(f"there is no output {name}")
        found = self.linears_behind(name)
        _expect(f"projections behind {name}", len(found), 1)
        return found[0]

    def bias_of(self, node: onnx.NodeProto) -> str:
        """The constant vector that is added to a linear node's output."""
        if node.op_type == "Gemm":
            return node.input[2]
        for other in self._nodes:
            if other.op_type == "Add" and node.output[0] in other.input:
                return next(name for name in other.input if name != node.output[0])
        raise UnrecognisedGraph(f"{node.name} has no bias")

    def norms(self, width: int) -> list[tuple[str, str]]:
        """Weight and bias of every layer norm in order, fused or spelled out."""
        found: list[tuple[str, str]] = []
        scaled: dict[str, str] = {}
        for node in self._nodes:
            if node.op_type == "LayerNormalization":
                found.append((node.input[1], node.input[2]))
            elif node.op_type in ("Mul", "Add"):
                vector = next((name for name in node.input if self.shape(name) == (width,)), None)
                if vector is None:
                    continue
                if node.op_type == "Mul":
                    scaled[node.output[0]] = vector
                else:
                    weight = next((scaled[name] for name in node.input if name in scaled), None)
                    if weight is not None:
                        found.append((weight, vector))
        return found

    def tables(self, shape: tuple[int, int]) -> list[str]:
        """Constants of a shape that rows are gathered from, in order."""
        return [
            node.input[0]
            for node in self._nodes
            if node.op_type == "Gather" and self.shape(node.input[0]) == shape
        ]


def _permutation(node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    for attribute in node.attribute:
        if attribute.name == "perm":
            return tuple(attribute.ints)
    return tuple(reversed(range(rank)))


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise UnrecognisedGraph(f"{found} {what} instead of {expected}")
