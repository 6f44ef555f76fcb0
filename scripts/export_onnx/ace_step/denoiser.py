"""The graph of one denoising call, assembled from three traced pieces.

What comes before the blocks, one block, and the final layer are traced once each; the block is
then appended for every layer with that layer's weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir
import torch
from torch import Tensor, nn

from ..assembly import Assembly, Axes, GraphModule, trace
from .attention import HeadProjections, RotaryTables
from .layers import transpose_weights, weight_dtype
from .transformer import WEAKENED_BLOCKS, AceStepTransformer, Surroundings

WEAK_TABLES = "weak_query_tables"

PIECE_AXES: dict[str, Axes] = {
    "x": {0: "batch", 1: "frames"},
    "embedded_timestep": {0: "batch"},
    "modulation": {0: "batch"},
    "self_tables": {0: "batch", 1: "frames"},
    "query_tables": {0: "batch", 1: "frames"},
    "context.states": {0: "batch", 1: "context"},
    "context.seen": {0: "batch", 1: "context"},
    "context.bias": {0: "batch", 3: "context"},
    "context.tables": {0: "context"},
    "frames_seen": {0: "batch", 1: "frames"},
}
"""Free axes of what passes between the pieces; a group of tables goes by the group's name."""


class DenoiserGraph(GraphModule):
    """One call of the diffusion transformer, inputs and output in float32."""

    half_arithmetic = True

    def __init__(self, transformer: AceStepTransformer):
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_mask: Tensor,
        timestep: Tensor,
        query_scale: Tensor | None = None,
    ) -> Tensor:
        dtype = weight_dtype(self)
        velocity = self.transformer.decode(
            hidden_states.to(dtype),
            attention_mask,
            encoder_hidden_states.to(dtype),
            encoder_hidden_mask,
            timestep,
            query_scale,
        )
        return velocity.float()

    def prepare(self) -> None:
        """Take rotary pairs apart and transpose the weights."""
        for module in self.modules():
            if isinstance(module, HeadProjections):
                module.take_pairs_apart()
        transpose_weights(self)

    def release(self) -> None:
        """Drop all weights: onnxruntime is about to load its own copy of most of them."""
        self.to("meta")

    def translate(
        self, inputs: Mapping[str, Tensor], free_axes: Mapping[str, Axes], outputs: Sequence[str]
    ) -> onnx_ir.Model:
        """Trace the pieces and put them together; see the base class."""
        transformer = self.transformer
        begin = Beginning(transformer)
        with torch.no_grad():
            x, embedded, surroundings, _ = begin.run(**inputs)
        names = ["x", "embedded_timestep", *(name for name, _ in flatten(surroundings))]
        if "query_scale" in inputs:
            names += [f"{WEAK_TABLES}.{field}" for field in RotaryTables._fields]
        assembly = Assembly(trace(begin, inputs, free_axes, names))

        block_inputs = {"x": x, **dict(flatten(surroundings))}
        block = trace(
            Block(transformer.transformer_blocks[0], surroundings),
            block_inputs,
            {name: _axes(name) for name in block_inputs},
            ["x_after"],
        )
        weaken = {
            f"query_tables.{field}": f"{WEAK_TABLES}.{field}" for field in RotaryTables._fields
        }
        for index, layer in enumerate(transformer.transformer_blocks):
            weak = "query_scale" in inputs and index in WEAKENED_BLOCKS
            assembly.append(
                block,
                f"transformer_blocks.{index}",
                {f"block.{name}": tensor for name, tensor in layer.named_parameters()},
                {"x": "x_after" if index else "x", **(weaken if weak else {})},
            )
        final_inputs = {"x": x, "embedded_timestep": embedded}
        final = trace(
            Ending(transformer.final_layer),
            final_inputs,
            {name: _axes(name) for name in final_inputs},
            outputs,
        )
        assembly.append(
            final,
            "final_layer",
            {f"final_layer.{n}": t for n, t in transformer.final_layer.named_parameters()},
            {"x": "x_after"},
        )
        return assembly.finish(outputs)


class Beginning(nn.Module):
    """What comes before the blocks, as a flat tuple of tensors."""

    def __init__(self, transformer: AceStepTransformer):
        super().__init__()
        # Not the transformer itself, whose blocks would then count as part of this piece.
        self.proj_in = transformer.proj_in
        self.timestep_embedder = transformer.timestep_embedder
        self.t_block = transformer.t_block
        self.transformer = [transformer]

    def run(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_mask: Tensor,
        timestep: Tensor,
        query_scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Surroundings, RotaryTables]:
        """As the transformer's ``begin``, casting the inputs to its dtype."""
        dtype = weight_dtype(self)
        return self.transformer[0].begin(
            hidden_states.to(dtype),
            attention_mask,
            encoder_hidden_states.to(dtype),
            encoder_hidden_mask,
            timestep,
            query_scale,
        )

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_mask: Tensor,
        timestep: Tensor,
        query_scale: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        x, embedded, surroundings, weak_queries = self.run(
            hidden_states,
            attention_mask,
            encoder_hidden_states,
            encoder_hidden_mask,
            timestep,
            query_scale,
        )
        weak = () if query_scale is None else weak_queries
        return x, embedded, *(tensor for _, tensor in flatten(surroundings)), *weak


class Block(nn.Module):
    """One transformer block, taking the stream and all of its surroundings as flat arguments."""

    def __init__(self, block: nn.Module, surroundings: Surroundings):
        super().__init__()
        self.block = block
        self.surroundings = surroundings

    def forward(self, *tensors: Tensor) -> Tensor:
        x, *surroundings = tensors
        return self.block(x, rebuild(self.surroundings, iter(surroundings)))


class Ending(nn.Module):
    """The final layer, its output in float32."""

    def __init__(self, final_layer: nn.Module):
        super().__init__()
        self.final_layer = final_layer

    def forward(self, x: Tensor, embedded_timestep: Tensor) -> Tensor:
        return self.final_layer(x, embedded_timestep).float()


def flatten(structure: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of nested named tuples, with dotted names."""
    for name, value in structure._asdict().items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from flatten(value, f"{prefix}{name}.")


def rebuild(like: Any, tensors: Iterator[Tensor]) -> Any:
    """Undo :func:`flatten`: a structure like ``like`` that holds the given tensors."""
    return type(like)(
        *(next(tensors) if isinstance(value, Tensor) else rebuild(value, tensors) for value in like)
    )


def _axes(name: str) -> Axes:
    return PIECE_AXES[name] if name in PIECE_AXES else PIECE_AXES[name.rsplit(".", 1)[0]]
