"""The text encoder (Qwen3), and the table of its token embeddings as a graph of its own.

Lyrics are read through the table alone, captions through both. The table's rows are read where the
file is mapped, so that only those of a prompt's tokens are ever in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.graphs.layers import Layers
from lofi_daemon.onnx.graph_writer import (
    GraphWriter,
    Precision,
    in_half_precision,
)


def write_token_embeddings(
    graph: GraphWriter, checkpoint: Checkpoint, precision: Precision
) -> None:
    """input_ids i64 [1, S] → token_embeddings f32 [1, S, width]."""
    ids = graph.input("input_ids", np.int64, [1, "tokens"])

    def table() -> NDArray[np.float32]:
        return checkpoint.text_tensor("embed_tokens.weight")

    if precision is Precision.FP32:
        rows = graph.node("Gather", [graph.weight("embed_tokens.weight", table), ids], axis=0)
    else:
        half = graph.weight("embed_tokens.weight.half", lambda: in_half_precision(table()))
        rows = graph.node("Gather", [half, ids], axis=0)
        rows = graph.node("Cast", [rows], to=TensorProto.FLOAT)
    graph.output(rows, "token_embeddings", np.float32, [1, "tokens", checkpoint.text_width])


def write_text_encoder(graph: GraphWriter, checkpoint: Checkpoint, precision: Precision) -> None:
    """token_embeddings f32 [1, S, width] → last_hidden_state f32 [1, S, width]: causal."""
    stack = checkpoint.language_model
    layers = Layers(graph, checkpoint.text_tensor, stack, precision)
    value = graph.input("token_embeddings", np.float32, [1, "tokens", stack.width])
    rotary = layers.rotary(layers.length(value))
    for index in range(len(stack.sliding)):
        value = layers.encoder_layer(value, f"layers.{index}", rotary, None, causal=True)
    value = layers.norm(value, layers.vector("norm.weight"))
    graph.output(value, "last_hidden_state", np.float32, [1, "tokens", stack.width])
