"""What a cover keeps of its source: its latents through the 5 Hz tokenizer and back again.

Five latent frames become one token of a finite set (FSQ, arXiv 2309.15505), and that becomes five
frames again: the music's outline, without its sound.
"""

from __future__ import annotations

import numpy as np

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.graphs.layers import Layers
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision

GROUP = 5
"""Latent frames a token."""

TOKENIZER = "tokenizer.attention_pooler"
DETOKENIZER = "detokenizer"


def write_audio_tokens(graph: GraphWriter, checkpoint: Checkpoint, precision: Precision) -> None:
    """latents f32 [1, 5n, C] → outline f32 [1, 5n, C]."""
    channels, width = checkpoint.autoencoder.latent_channels, checkpoint.encoder.width
    layers = Layers(graph, checkpoint.tensor, checkpoint.encoder, precision)
    latents = graph.input("latents", np.float32, [1, "frames", channels])
    value = layers.affine(latents, "tokenizer.audio_acoustic_proj", channels, width)
    value = layers.affine(value, f"{TOKENIZER}.embed_tokens", width, width)
    value = graph.node("Reshape", [value, graph.constant("groups", [-1, GROUP, width])])
    value = _behind_a_token(layers, value)
    value = _encoded(layers, value, TOKENIZER, checkpoint.layers_of(TOKENIZER), GROUP + 1)
    ends = [graph.constant(f"index_{index}", [index]) for index in (0, 1, 1)]
    value = graph.node("Slice", [value, *ends])
    value = _quantized(layers, value, checkpoint.token_levels, width)
    value = layers.affine(value, f"{DETOKENIZER}.embed_tokens", width, width)
    value = graph.node("Add", [value, layers.vector(f"{DETOKENIZER}.special_tokens")])
    value = _encoded(layers, value, DETOKENIZER, checkpoint.layers_of(DETOKENIZER), GROUP)
    value = layers.affine(value, f"{DETOKENIZER}.proj_out", width, channels)
    value = graph.node("Reshape", [value, graph.constant("row", [1, -1, channels])])
    graph.output(value, "outline", np.float32, [1, "frames", channels])


def _behind_a_token(layers: Layers, groups: str) -> str:
    """[n, 5, width] → [n, 6, width]: the learned token in front, whose place the answer has."""
    graph = layers.graph
    count = graph.node("Shape", [groups], start=0, end=1)
    rest = graph.constant("one_of_any_width", [1, 1])
    shape = graph.node("Concat", [count, rest], axis=0)
    token = graph.node("Expand", [layers.vector(f"{TOKENIZER}.special_token"), shape])
    return graph.node("Concat", [token, groups], axis=1)


def _encoded(layers: Layers, value: str, name: str, count: int, length: int) -> str:
    rotary = layers.rotary(layers.graph.constant(f"length_{length}", [length]))
    for index in range(count):
        bias = layers.near_bias(length) if layers.stack.is_sliding(index) else None
        layer = f"{name}.layers.{index}"
        value = layers.encoder_layer(value, layer, rotary, None, causal=False, bias=bias)
    return layers.norm(value, layers.vector(f"{name}.norm.weight"))


def _quantized(layers: Layers, value: str, levels: tuple[int, ...], width: int) -> str:
    """Each channel to the nearest of its levels between −1 and 1."""
    graph, name = layers.graph, "tokenizer.quantizer"
    value = layers.affine(value, f"{name}.project_in", width, len(levels))
    steps = np.asarray(levels, dtype=np.float32) - np.float32(1.0)
    # A little wider than ±1, so that the outermost levels are reached.
    widest = graph.constant("widest", np.float32(1.0) + np.float32(1.0) / steps, np.float32)
    bounded = graph.node("Tanh", [graph.node("Div", [value, widest])])
    bounded = graph.node("Mul", [bounded, widest])
    one, half = (graph.constant(name, each, np.float32) for name, each in _NUMBERS)
    lowest = graph.node("Neg", [one])
    bounded = graph.node("Min", [graph.node("Max", [bounded, lowest]), one])
    count = graph.constant("steps", steps, np.float32)
    place = graph.node("Mul", [graph.node("Mul", [count, graph.node("Add", [bounded, one])]), half])
    nearest = graph.node("Floor", [graph.node("Add", [place, half])])
    step = graph.constant("step", np.float32(2.0) / steps, np.float32)
    value = graph.node("Sub", [graph.node("Mul", [step, nearest]), one])
    return layers.affine(value, f"{name}.project_out", len(levels), width)


_NUMBERS = (("number_one", 1.0), ("number_half", 0.5))
