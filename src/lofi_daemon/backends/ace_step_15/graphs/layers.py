"""Parts that the text encoder, the condition encoder and the diffusion transformer share.

Values are float32 [1, S, width]: one item, no padding, no masks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from lofi_daemon.backends.ace_step_15.checkpoint import Stack
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision, Tensors
from lofi_daemon.onnx.weight_formats import MICROSOFT

# Added to scores that must not count. Finite: a row with nothing but these still has a softmax.
FORBIDDEN = -1e9
# Cross attention enters the residual stream without a gate.
SENSITIVE = "cross_attn"


@dataclass(frozen=True)
class Rotary:
    """Names of the cosines and sines [S, head size / 2] of the positions 0 … S − 1."""

    cosines: str
    sines: str


@dataclass(frozen=True)
class Neighbourhood:
    """What sliding attention over S positions needs besides its operands.

    tail: how many positions fill the last block, [1]; bias: float32 [blocks, 1, window, 3·window];
    length: S, [1].
    """

    tail: str
    bias: str
    length: str


class Layers:
    """Writes the parts of one stack of layers into a graph."""

    def __init__(
        self, graph: GraphWriter, tensors: Tensors, stack: Stack, precision: Precision
    ) -> None:
        self.graph = graph
        self.tensors = tensors
        self.stack = stack
        self.precision = precision

    def linear(self, value: str, name: str, inputs: int, outputs: int) -> str:
        """One matrix of a repeated layer."""
        precision = self.precision.sensitive if SENSITIVE in name else self.precision
        return self.graph.linear(value, name, self.tensors, (outputs, inputs), precision)

    def affine(self, value: str, name: str, inputs: int, outputs: int) -> str:
        """A linear layer with bias outside the repeated ones, in float32."""
        product = self.graph.linear(value, f"{name}.weight", self.tensors, (outputs, inputs))
        return self.graph.node("Add", [product, self.vector(f"{name}.bias")])

    def vector(self, name: str) -> str:
        return self.graph.weight(name, lambda: self.tensors(name))

    def norm(self, value: str, scale: str) -> str:
        """x · rsqrt(mean x² + ε) · scale over the last axis."""
        return self.graph.node(
            "SimplifiedLayerNormalization",
            [value, scale],
            axis=-1,
            epsilon=self.stack.epsilon,
            stash_type=1,
        )

    def length(self, value: str) -> str:
        """S of a value [1, S, …], as int64 [1]."""
        return self.graph.node("Shape", [value], start=1, end=2)

    def rotary(self, length: str) -> Rotary:
        """Angles position · θ^(−2i / head size), in float32 as PyTorch computes them."""
        graph, size = self.graph, self.stack.head_size
        exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
        frequencies = np.float32(1.0) / np.float32(self.stack.theta) ** exponents
        table = graph.constant("frequencies", frequencies, np.float32)
        positions = graph.node("Cast", [self._range(length)], to=TensorProto.FLOAT)
        column = graph.node("Unsqueeze", [positions, graph.constant("axis_1", [1])])
        angles = graph.node("Mul", [column, table])
        return Rotary(graph.node("Cos", [angles]), graph.node("Sin", [angles]))

    def neighbourhood(self, length: str) -> Neighbourhood:
        """Blocks of `window` queries; the keys of a block are itself and both neighbours.

        Exactly the positions |i − j| ≤ window are let through.
        """
        graph, window = self.graph, self.stack.window
        block = graph.constant("window", [window])
        rest = graph.node("Mod", [length, block])
        tail = graph.node("Mod", [graph.node("Sub", [block, rest]), block])
        filled = graph.node("Add", [length, tail])
        blocks = graph.node("Div", [filled, block])
        first = graph.node("Mul", [self._range(blocks), block])
        first = graph.node("Reshape", [first, graph.constant("columns", [-1, 1, 1])])
        offsets = np.arange(-window, 2 * window).reshape(1, 1, -1)
        keys = graph.node("Add", [first, graph.constant("key_offsets", offsets)])
        inside = graph.node(
            "And",
            [
                graph.node("GreaterOrEqual", [keys, graph.constant("zero", 0)]),
                graph.node("Less", [keys, length]),
            ],
        )
        near = np.abs(np.arange(window).reshape(1, -1, 1) - offsets) <= window
        allowed = graph.node("And", [inside, graph.constant("near", near, np.bool_)])
        bias = graph.node(
            "Where",
            [
                allowed,
                graph.constant("counts", 0.0, np.float32),
                graph.constant("forbidden", FORBIDDEN, np.float32),
            ],
        )
        bias = graph.node("Unsqueeze", [bias, graph.constant("axis_1", [1])])
        return Neighbourhood(tail, bias, length)

    def projected(
        self, value: str, name: str, part: str, inputs: int, rotary: Rotary | None
    ) -> str:
        """Queries (part "q") or keys ("k") of all heads, normed over each head, rotated."""
        graph, stack = self.graph, self.stack
        heads = stack.heads if part == "q" else stack.key_value_heads
        width = heads * stack.head_size
        flat = self.linear(value, f"{name}.{part}_proj.weight", inputs, width)
        by_head = graph.node("Reshape", [flat, self._shape(heads, stack.head_size)])
        normed = self.norm(by_head, self.vector(f"{name}.{part}_norm.weight"))
        flat = graph.node("Reshape", [normed, self._shape(width)])
        if rotary is None:
            return flat
        start = graph.constant("first_position", [0])
        return graph.node(
            "RotaryEmbedding",
            [flat, start, rotary.cosines, rotary.sines],
            domain=MICROSOFT,
            interleaved=0,
        )

    def values(self, value: str, name: str, inputs: int) -> str:
        width = self.stack.key_value_heads * self.stack.head_size
        return self.linear(value, f"{name}.v_proj.weight", inputs, width)

    def attention(
        self, queries: str, keys: str, values: str, *, causal: bool = False, bias: str | None = None
    ) -> str:
        """Every query sees every key, or (causal) those up to its own position; bias: float32
        [1, 1, S, S], added to the scores."""
        operands = [queries, self._repeated(keys), self._repeated(values)]
        if bias is not None:
            operands += ["", "", bias]
        return self._multi_head(operands, causal=causal)

    def near_bias(self, length: int) -> str | None:
        """For sliding attention over so few positions that they are one block; None: all are
        near."""
        if self.stack.window >= length - 1:
            return None
        positions = np.arange(length)
        near = np.abs(positions[:, None] - positions) <= self.stack.window
        bias = np.where(near, 0.0, FORBIDDEN)[None, None]
        return self.graph.constant(f"near_{length}", bias, np.float32)

    def sliding_attention(self, queries: str, keys: str, values: str, near: Neighbourhood) -> str:
        """Every query sees the keys at most `window` positions away, block by block."""
        graph, window = self.graph, self.stack.window
        nothing, block = graph.constant("nothing", [0]), graph.constant("window", [window])
        zero = graph.constant("filling", 0.0, np.float32)
        axis = graph.constant("axis_1", [1])
        after = graph.node("Add", [near.tail, block])

        def blocks(value: str, before: str, behind: str, width: int) -> str:
            ends = graph.node("Concat", [before, behind], axis=0)
            padded = graph.node("Pad", [value, ends, zero, axis])
            return graph.node(
                "Reshape", [padded, graph.constant(f"blocks_{width}", [-1, window, width])]
            )

        def with_neighbours(value: str) -> str:
            width = self.stack.key_value_heads * self.stack.head_size
            parts = blocks(value, block, after, width)
            ends = (0, -2), (1, -1), (2, np.iinfo(np.int64).max)
            rows = [
                graph.node(
                    "Slice",
                    [
                        parts,
                        graph.constant(f"first_{start}", [start]),
                        graph.constant(f"last_{stop}", [stop]),
                        nothing,
                    ],
                )
                for start, stop in ends
            ]
            return self._repeated(graph.node("Concat", rows, axis=1))

        width = self.stack.heads * self.stack.head_size
        operands = [
            blocks(queries, nothing, near.tail, width),
            with_neighbours(keys),
            with_neighbours(values),
        ]
        attended = self._multi_head([*operands, "", "", near.bias])
        joined = graph.node("Reshape", [attended, graph.constant(f"row_{width}", [1, -1, width])])
        return graph.node("Slice", [joined, nothing, near.length, axis])

    def feed_forward(self, value: str, name: str) -> str:
        """down(silu(gate x) · up x)."""
        graph, width, inner = self.graph, self.stack.width, self.stack.intermediate
        gate = self.linear(value, f"{name}.gate_proj.weight", width, inner)
        up = self.linear(value, f"{name}.up_proj.weight", width, inner)
        product = graph.node("Mul", [self.silu(gate), up])
        return self.linear(product, f"{name}.down_proj.weight", inner, width)

    def silu(self, value: str) -> str:
        return self.graph.node("Mul", [value, self.graph.node("Sigmoid", [value])])

    def encoder_layer(
        self,
        value: str,
        name: str,
        rotary: Rotary,
        near: Neighbourhood | None,
        *,
        causal: bool,
        bias: str | None = None,
    ) -> str:
        """A layer of the encoders: attention and feed-forward, a norm before each."""
        graph = self.graph
        normed = self.norm(value, self.vector(f"{name}.input_layernorm.weight"))
        attended = self.self_attention(
            normed, f"{name}.self_attn", rotary, near, causal=causal, bias=bias
        )
        value = graph.node("Add", [value, attended])
        normed = self.norm(value, self.vector(f"{name}.post_attention_layernorm.weight"))
        return graph.node("Add", [value, self.feed_forward(normed, f"{name}.mlp")])

    def self_attention(
        self,
        value: str,
        name: str,
        rotary: Rotary,
        near: Neighbourhood | None,
        *,
        causal: bool = False,
        bias: str | None = None,
    ) -> str:
        """near: sliding; None: full, with that bias."""
        stack = self.stack
        queries = self.projected(value, name, "q", stack.width, rotary)
        keys = self.projected(value, name, "k", stack.width, rotary)
        values = self.values(value, name, stack.width)
        if near is None:
            attended = self.attention(queries, keys, values, causal=causal, bias=bias)
        else:
            attended = self.sliding_attention(queries, keys, values, near)
        return self.attention_output(attended, name)

    def attention_output(self, attended: str, name: str) -> str:
        inner = self.stack.heads * self.stack.head_size
        return self.linear(attended, f"{name}.o_proj.weight", inner, self.stack.width)

    def _multi_head(self, operands: list[str], *, causal: bool = False) -> str:
        return self.graph.node(
            "MultiHeadAttention",
            operands,
            domain=MICROSOFT,
            num_heads=self.stack.heads,
            scale=self.stack.head_size**-0.5,
            unidirectional=int(causal),
        )

    def _repeated(self, value: str) -> str:
        """Each key-value head as often as queries share it, one after another."""
        graph, stack = self.graph, self.stack
        times = stack.heads // stack.key_value_heads
        if times == 1:
            return value
        split = self._shape(stack.key_value_heads, 1, stack.head_size)
        by_head = graph.node("Reshape", [value, split])
        copies = graph.node("Expand", [by_head, graph.constant("copies", [1, 1, 1, times, 1])])
        return graph.node("Reshape", [copies, self._shape(stack.heads * stack.head_size)])

    def _shape(self, *axes: int) -> str:
        """The first two axes as they are, then these."""
        name = "shape_" + "_".join(map(str, axes))
        return self.graph.constant(name, [0, 0, *axes])

    def _range(self, length: str) -> str:
        graph = self.graph
        limit = graph.node("Squeeze", [length])
        return graph.node("Range", [graph.constant("zero", 0), limit, graph.constant("one", 1)])
