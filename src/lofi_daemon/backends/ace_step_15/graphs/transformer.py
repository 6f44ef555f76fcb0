"""The diffusion transformer: a velocity from noisy latents, their level, and the condition."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.graphs.layers import Layers, Neighbourhood, Rotary
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision

PATCH = 2
TIME_FEATURES = 256
TIME_SCALE = 1000.0
LONGEST_PERIOD = 10_000.0
# Rows of a layer's table: shift, scale, gate of the attention, then of the feed-forward.
SCALES = (1, 4)


def write_transformer(graph: GraphWriter, checkpoint: Checkpoint, precision: Precision) -> None:
    """hidden_states f32 [1, 2n, C], timestep f32 [1], encoder_hidden_states f32 [1, R, width] and
    context_latents f32 [1, 2n, 2C] (source, then mask) → velocity f32 [1, 2n, C]."""
    _Transformer(graph, checkpoint, precision).write()


class _Transformer:
    def __init__(self, graph: GraphWriter, checkpoint: Checkpoint, precision: Precision) -> None:
        self._graph = graph
        self._checkpoint = checkpoint
        self._stack = checkpoint.decoder
        self._layers = Layers(graph, checkpoint.tensor, checkpoint.decoder, precision)

    def write(self) -> None:
        graph, stack, layers = self._graph, self._stack, self._layers
        channels = self._checkpoint.autoencoder.latent_channels
        condition_width = self._checkpoint.encoder.width
        latents = graph.input("hidden_states", np.float32, [1, "frames", channels])
        timestep = graph.input("timestep", np.float32, [1])
        rows = graph.input("encoder_hidden_states", np.float32, [1, "rows", condition_width])
        context = graph.input("context_latents", np.float32, [1, "frames", 2 * channels])
        embedding, modulation = self._time(timestep)
        condition = layers.affine(rows, "decoder.condition_embedder", condition_width, stack.width)
        value = self._patches(latents, context, channels)
        length = layers.length(value)
        rotary, near = layers.rotary(length), layers.neighbourhood(length)
        for index in range(len(stack.sliding)):
            sliding = near if stack.sliding[index] else None
            value = self._layer(
                value, f"decoder.layers.{index}", modulation, condition, rotary, sliding
            )
        graph.output(
            self._unpatched(value, embedding, channels),
            "velocity",
            np.float32,
            [1, "frames", channels],
        )

    def _time(self, timestep: str) -> tuple[str, str]:
        """Embedding [1, width], and the modulation of all layers [6, width].

        A second embedding, of the distance to the time that is aimed at, is always that of 0 here:
        a constant.
        """
        graph, layers, width = self._graph, self._layers, self._stack.width
        half = TIME_FEATURES // 2
        # At a thousand radians the last bit of a frequency is seen in the angle: exponents are
        # rounded as PyTorch rounds them, and numpy's float32 exp is not exact enough.
        logarithm = np.float32(-math.log(LONGEST_PERIOD))
        exponents = logarithm * np.arange(half, dtype=np.float32) / np.float32(half)
        exact = np.exp(exponents.astype(np.float64))
        frequencies = graph.constant("time_frequencies", exact, np.float32)
        thousand = graph.constant("time_scale", TIME_SCALE, np.float32)
        angles = graph.node("Mul", [graph.node("Mul", [timestep, thousand]), frequencies])
        waves = [graph.node("Cos", [angles]), graph.node("Sin", [angles])]
        features = graph.node("Concat", waves, axis=0)
        features = graph.node("Reshape", [features, graph.constant("one_row", [1, -1])])
        name = "decoder.time_embed"
        hidden = layers.silu(layers.affine(features, f"{name}.linear_1", TIME_FEATURES, width))
        embedding = layers.affine(hidden, f"{name}.linear_2", width, width)
        modulation = layers.affine(layers.silu(embedding), f"{name}.time_proj", width, 6 * width)
        distance = graph.weight("distance_embedding", lambda: self._distance()[0])
        distance_modulation = graph.weight("distance_modulation", lambda: self._distance()[1])
        modulation = graph.node("Add", [modulation, distance_modulation])
        modulation = graph.node("Reshape", [modulation, graph.constant("six_rows", [6, -1])])
        return graph.node("Add", [embedding, distance]), modulation

    def _distance(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The embedding of a distance of 0, [1, width], and its modulation, [1, 6 · width]."""
        name, tensor = "decoder.time_embed_r", self._checkpoint.tensor
        features = np.repeat(np.array([1.0, 0.0], dtype=np.float32), TIME_FEATURES // 2)[None]

        def affine(value: NDArray[np.float32], part: str) -> NDArray[np.float32]:
            product = value @ tensor(f"{name}.{part}.weight").T
            return (product + tensor(f"{name}.{part}.bias")).astype(np.float32)

        embedding = affine(_silu(affine(features, "linear_1")), "linear_2")
        return embedding, affine(_silu(embedding), "time_proj")

    def _patches(self, latents: str, context: str, channels: int) -> str:
        """Pairs of frames to tokens: a convolution of width and stride 2 as one product."""
        graph, width = self._graph, self._stack.width
        inputs = PATCH * 3 * channels
        joined = graph.node("Concat", [context, latents], axis=2)
        pairs = graph.node("Reshape", [joined, graph.constant("pairs", [1, -1, inputs])])

        def matrix() -> NDArray[np.float32]:
            kernel = self._checkpoint.tensor("decoder.proj_in.1.weight")  # [width, channels, 2]
            return np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(inputs, width))

        product = graph.node("MatMul", [pairs, graph.weight("decoder.proj_in", matrix)])
        return graph.node("Add", [product, self._layers.vector("decoder.proj_in.1.bias")])

    def _layer(
        self,
        value: str,
        name: str,
        modulation: str,
        condition: str,
        rotary: Rotary,
        near: Neighbourhood | None,
    ) -> str:
        graph, layers, stack = self._graph, self._layers, self._stack
        table = graph.weight(f"{name}.scale_shift_table", lambda: self._table(name, SCALES))
        rows = [f"{name}.modulation.{row}" for row in range(6)]
        modulated = graph.node("Add", [table, modulation])
        graph.node("Split", [modulated], outputs=rows, axis=0, num_outputs=6)
        shift, scale, gate, shift_after, scale_after, gate_after = rows

        normed = self._modulated(value, f"{name}.self_attn_norm.weight", scale, shift)
        attended = layers.self_attention(normed, f"{name}.self_attn", rotary, near)
        value = graph.node("Add", [value, graph.node("Mul", [attended, gate])])

        normed = layers.norm(value, layers.vector(f"{name}.cross_attn_norm.weight"))
        attention = f"{name}.cross_attn"
        attended = layers.attention(
            layers.projected(normed, attention, "q", stack.width, None),
            layers.projected(condition, attention, "k", stack.width, None),
            layers.values(condition, attention, stack.width),
        )
        value = graph.node("Add", [value, layers.attention_output(attended, attention)])

        normed = self._modulated(value, f"{name}.mlp_norm.weight", scale_after, shift_after)
        change = layers.feed_forward(normed, f"{name}.mlp")
        return graph.node("Add", [value, graph.node("Mul", [change, gate_after])])

    def _modulated(self, value: str, weight: str, scale: str, shift: str) -> str:
        """norm(x) · (1 + scale) + shift; the table's scales hold the 1."""
        graph, layers = self._graph, self._layers
        combined = graph.node("Mul", [layers.vector(weight), scale])
        combined = graph.node("Reshape", [combined, graph.constant("vector", [-1])])
        return graph.node("Add", [layers.norm(value, combined), shift])

    def _unpatched(self, value: str, embedding: str, channels: int) -> str:
        """The last norm, and tokens to pairs of frames: a transposed convolution as one product."""
        graph, width = self._graph, self._stack.width
        table = graph.weight("decoder.scale_shift_table", lambda: self._table("decoder", (1,)))
        rows = ["decoder.modulation.0", "decoder.modulation.1"]
        modulated = graph.node("Add", [table, embedding])
        graph.node("Split", [modulated], outputs=rows, axis=0, num_outputs=2)
        normed = self._modulated(value, "decoder.norm_out.weight", rows[1], rows[0])

        def matrix() -> NDArray[np.float32]:
            kernel = self._checkpoint.tensor("decoder.proj_out.1.weight")  # [width, channels, 2]
            return np.ascontiguousarray(kernel.transpose(0, 2, 1).reshape(width, PATCH * channels))

        product = graph.node("MatMul", [normed, graph.weight("decoder.proj_out", matrix)])
        frames = graph.node("Reshape", [product, graph.constant("frames", [1, -1, channels])])
        return graph.node("Add", [frames, self._layers.vector("decoder.proj_out.1.bias")])

    def _table(self, name: str, scales: tuple[int, ...]) -> NDArray[np.float32]:
        table = self._checkpoint.tensor(f"{name}.scale_shift_table")[0].copy()
        table[list(scales)] += np.float32(1.0)
        return table


def _silu(value: NDArray[np.float32]) -> NDArray[np.float32]:
    return value / (np.float32(1.0) + np.exp(-value))
