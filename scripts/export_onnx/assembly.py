"""Traced pieces of a model, put together to one ONNX graph.

Tracing takes a second or so per hundred operators. A deep stack of equal blocks is one block
traced once and appended as often as needed, each time with other weights; so the time and the
memory of an export do not grow with depth.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence

import onnx_ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
from onnx_ir.tensor_adapters import TorchTensor
from torch import Tensor, nn

OPSET = 18

Axes = Mapping[int, str]
"""Free axes of one tensor: position and name."""


def trace(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    free_axes: Mapping[str, Axes],
    outputs: Sequence[str],
) -> onnx_ir.Model:
    """Let PyTorch translate a module into ONNX, with inputs and outputs of the given names."""
    axes = tuple(free_axes.get(name) or None for name in inputs)
    takes_any_number = any(
        parameter.kind is parameter.VAR_POSITIONAL
        for parameter in inspect.signature(module.forward).parameters.values()
    )
    # It warns of packages that are not installed and not needed, at every call.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Deprecations inside torch, and notes that two inputs share an axis, which is meant.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.requires_grad_(False),
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            # All of *args together are one entry.
            dynamic_shapes=(axes,) if takes_any_number else axes,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model
    RemoveUnusedNodesPass()(model)
    ClearMetadataAndDocStringPass()(model)
    return model


class GraphModule(nn.Module):
    """A module whose ``forward`` has the inputs and outputs of one ONNX graph.

    ``half_arithmetic``: whether a half-precision export may also compute in half precision, or
    only store its weights so.
    """

    half_arithmetic = False

    def prepare(self) -> None:
        """Bring it into the layout that exports best; what it computes stays the same."""

    def translate(
        self, inputs: Mapping[str, Tensor], free_axes: Mapping[str, Axes], outputs: Sequence[str]
    ) -> onnx_ir.Model:
        """Build the graph; ``inputs`` are an example, in the order of ``forward``."""
        return trace(self, inputs, free_axes, outputs)

    def release(self) -> None:
        """Free what memory can be freed, now that the graph is written."""


class Assembly:
    """Joins traced pieces by the names of their inputs and outputs.

    A piece's input is the value of that name that an earlier piece put out, or an input of the
    first piece. A later output takes over the name of an earlier one.
    """

    def __init__(self, first: onnx_ir.Model):
        self.model = first
        self.values = {value.name: value for value in [*first.graph.inputs, *first.graph.outputs]}
        for name, value in list(first.graph.initializers.items()):
            self._adopt_initializer(value, f"begin.{name}")
        first.graph.outputs.clear()

    def append(
        self,
        piece: onnx_ir.Model,
        prefix: str,
        weights: Mapping[str, Tensor],
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Add a copy of ``piece``, its parameters replaced by those of ``weights``.

        All values get ``prefix`` before their name. ``renamed`` maps an input of the piece to
        the name of the value to take instead. Raises ValueError when a parameter is missing.
        """
        renamed = renamed or {}
        graph = piece.graph.clone()
        parameters = graph.initializers.keys() & weights.keys()
        if missing := weights.keys() - parameters:
            raise ValueError(f"the traced piece lost the parameters {sorted(missing)}")
        for value in graph.inputs:
            source = self.values[renamed.get(value.name, value.name)]
            value.replace_all_uses_with(source)
        outputs = {value.name: value for value in graph.outputs}
        graph.outputs.clear()
        for name, value in list(graph.initializers.items()):
            if name in weights:
                value.const_value = TorchTensor(weights[name].detach())
            del graph.initializers[name]
            self._adopt_initializer(value, f"{prefix}.{name}")
        nodes = list(graph)
        graph.remove(nodes)
        for node in nodes:
            node.name = f"{prefix}.{node.name}"
            for value in node.outputs:
                if value not in outputs.values():
                    # Every piece has its own names for derived lengths.
                    value.shape = None
                value.name = f"{prefix}.{value.name}"
        self.model.graph.extend(nodes)
        self.values.update(outputs)

    def finish(self, outputs: Sequence[str]) -> onnx_ir.Model:
        """Declare the outputs and return the model."""
        for name in outputs:
            value = self.values[name]
            value.name = name
            self.model.graph.outputs.append(value)
        return self.model

    def _adopt_initializer(self, value: onnx_ir.Value, name: str) -> None:
        graph = self.model.graph
        if value.name in graph.initializers and graph.initializers[value.name] is value:
            del graph.initializers[value.name]
        value.name = name
        graph.register_initializer(value)


def pin(
    model: onnx_ir.Model, constants: Mapping[str, float], lengths: Mapping[str, int]
) -> onnx_ir.Model:
    """Fix inputs to scalar ``constants`` and free axes to ``lengths``, in place."""
    graph = model.graph
    for value in [*graph.inputs, *graph.outputs]:
        if value.shape is not None:
            dims = [
                lengths.get(str(dim), dim) if isinstance(dim, onnx_ir.SymbolicDim) else dim
                for dim in value.shape
            ]
            value.shape = onnx_ir.Shape(dims)
    for value in list(graph.inputs):
        if value.name in constants:
            graph.inputs.remove(value)
            shape = [dim if isinstance(dim, int) else 1 for dim in value.shape]
            value.const_value = TorchTensor(torch.full(shape, constants[value.name]))
            value.shape = onnx_ir.Shape(shape)
            graph.register_initializer(value)
    return model


def store_in_half(model: onnx_ir.Model) -> onnx_ir.Model:
    """Store every float32 weight of more than one axis as float16, cast back where it is used.

    In place. A runtime that folds constants does the casts once, when it loads the file.
    """
    graph = model.graph
    casts = []
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or len(tensor.shape) < 2:
            continue
        stored = onnx_ir.Value(name=f"{name}.half")
        stored.const_value = TorchTensor(torch.from_numpy(tensor.numpy()).half())
        stored.dtype, stored.shape = onnx_ir.DataType.FLOAT16, value.shape
        cast = onnx_ir.node("Cast", [stored], attributes={"to": onnx_ir.DataType.FLOAT})
        value.replace_all_uses_with(cast.outputs[0])
        del graph.initializers[name]
        cast.outputs[0].name = name
        graph.register_initializer(stored)
        casts.append(cast)
    graph.insert_before(graph[0], casts)
    return model
