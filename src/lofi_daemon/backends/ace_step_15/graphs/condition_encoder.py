"""What the diffusion transformer attends to: rows of lyrics, timbre and text, in this order."""

from __future__ import annotations

import numpy as np

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.graphs.layers import Layers
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision


def write_condition_encoder(
    graph: GraphWriter, checkpoint: Checkpoint, precision: Precision
) -> None:
    """text_hidden_states f32 [1, S, text width], lyric_embeddings f32 [1, L, text width] and
    timbre f32 [1, K, width] → encoder_hidden_states f32 [1, L + K + S, width]."""
    stack, text_width = checkpoint.encoder, checkpoint.text_width
    layers = Layers(graph, checkpoint.tensor, stack, precision)
    text = graph.input("text_hidden_states", np.float32, [1, "text", text_width])
    lyrics = graph.input("lyric_embeddings", np.float32, [1, "lyrics", text_width])
    timbre = graph.input("timbre", np.float32, [1, "references", stack.width])
    shape = (stack.width, text_width)
    text = graph.linear(text, "encoder.text_projector.weight", checkpoint.tensor, shape)
    lyrics = layers.affine(lyrics, "encoder.lyric_encoder.embed_tokens", text_width, stack.width)
    lyrics = _encoded(
        layers, lyrics, "encoder.lyric_encoder", checkpoint.layers_of("encoder.lyric_encoder")
    )
    rows = graph.node("Concat", [lyrics, timbre, text], axis=1)
    graph.output(rows, "encoder_hidden_states", np.float32, [1, "rows", stack.width])


def write_timbre_encoder(graph: GraphWriter, checkpoint: Checkpoint) -> None:
    """latents f32 [1, F, channels] of a reference → timbre f32 [1, 1, width]: the first row.

    In the XL models a learned token is put in front and becomes that row.
    """
    stack, channels = checkpoint.encoder, checkpoint.autoencoder.latent_channels
    layers = Layers(graph, checkpoint.tensor, stack, Precision.FP32)
    value = graph.input("latents", np.float32, [1, "frames", channels])
    name = "encoder.timbre_encoder"
    value = layers.affine(value, f"{name}.embed_tokens", channels, stack.width)
    if checkpoint.has_timbre_token:
        token = layers.vector(f"{name}.special_token")
        value = graph.node("Concat", [token, value], axis=1)
    value = _encoded(layers, value, name, checkpoint.layers_of(name))
    ends = [graph.constant(f"index_{index}", [index]) for index in (0, 1, 1)]
    value = graph.node("Slice", [value, *ends])
    graph.output(value, "timbre", np.float32, [1, 1, stack.width])


def _encoded(layers: Layers, value: str, name: str, count: int) -> str:
    length = layers.length(value)
    rotary, near = layers.rotary(length), layers.neighbourhood(length)
    for index in range(count):
        sliding = near if layers.stack.is_sliding(index) else None
        layer = f"{name}.layers.{index}"
        value = layers.encoder_layer(value, layer, rotary, sliding, causal=False)
    return layers.norm(value, layers.vector(f"{name}.norm.weight"))
