"""The decoder's two native graphs, from weights named as in a transformers checkpoint.

`cross_attention.onnx` runs once a request: text states to the keys and values of every layer.
`decoder.onnx` runs once a token. Its caches are buffers of a fixed length that are read and
written in place (GroupQueryAttention), so a step copies nothing and costs what its weights cost.
Both rows of guidance go through it as a batch of two; the row without the prompt attends to zeros,
which contribute zero, as its masked states do in the reference implementation. Guidance is applied
to the last hidden state: the output heads are linear, so it is the same and halves their work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import USUAL_BLOCK, DecoderConfig, Precision
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.onnx.graph_writer import GraphWriter
from lofi_daemon.onnx.graph_writer import Precision as StoredAs
from lofi_daemon.onnx.weight_formats import MICROSOFT, Storage, WeightFormat

Weights = Mapping[str, NDArray[np.float32]]
OnLayer = Callable[[int], None]

EPSILON = 1e-5
# Int4 output heads would cost accuracy where it counts, and save one part in forty.
HEADS_PRECISION: Mapping[Precision, Precision] = {"fp32": "fp32", "int8": "int8", "int4": "int8"}
ACTIVATIONS = {"gelu": ("Gelu", MICROSOFT), "relu": ("Relu", "")}


EIGHT_BITS = Storage(WeightFormat.INT8_BLOCKS, USUAL_BLOCK)
FOUR_BITS = Storage(WeightFormat.INT4_BLOCKS, USUAL_BLOCK)


@dataclass(frozen=True)
class Forms:
    """How matrices of 8 and of 4 bits are stored."""

    eight_bits: Storage = EIGHT_BITS
    four_bits: Storage = FOUR_BITS

    def block(self, precision: Precision) -> int:
        """Weights that share a scale, in matrices of the precision's bits."""
        return self.four_bits.block if precision == "int4" else self.eight_bits.block


def cache_names(layers: int, attention: str) -> list[str]:
    """Names {layer}.{attention}.key and .value of every layer; attention: decoder or encoder."""
    return [f"{i}.{attention}.{part}" for i in range(layers) for part in ("key", "value")]


def write_cross_attention(
    path: Path, config: DecoderConfig, text_width: int, weights: Weights
) -> None:
    """encoder_hidden_states f32 [1, S, text_width] → present.{i}.encoder.{key,value}.

    Each is f32 [2, heads, S, head size]: the row with the prompt, and zeros for the one without.
    Kept in fp32: it runs once, and its rounding would reach every token.
    """
    heads, head_size = config.num_attention_heads, config.head_size
    with GraphWriter(path, {}) as graph:
        states = graph.input("encoder_hidden_states", np.float32, [1, "text", text_width])
        if "enc_to_dec_proj.weight" in weights:
            states = _linear(
                graph, states, "enc_to_dec_proj.weight", weights["enc_to_dec_proj.weight"]
            )
            bias = _weight(graph, "enc_to_dec_proj.bias", weights["enc_to_dec_proj.bias"])
            states = graph.node("Add", [states, bias])
        split = graph.constant("split_heads", [0, 0, heads, head_size])
        pads = graph.constant("second_row", [0, 0, 0, 0, 1, 0, 0, 0])
        for name in cache_names(config.num_hidden_layers, "encoder"):
            layer, _, part = name.split(".")
            weight = f"layers.{layer}.encoder_attn.{part[0]}_proj.weight"
            projected = _linear(graph, states, weight, weights[weight])
            by_head = graph.node("Reshape", [projected, split])
            by_head = graph.node("Transpose", [by_head], perm=[0, 2, 1, 3])
            graph.node("Pad", [by_head, pads], outputs=[f"present.{name}"])
            _output(graph, f"present.{name}", np.float32, [2, heads, "text", head_size])


def write_decoder(
    path: Path,
    config: DecoderConfig,
    weights: Weights,
    precision: Precision = "fp32",
    on_layer: OnLayer = lambda layer: None,
    forms: Forms | None = None,
) -> None:
    """One step, or a prompt into empty caches: tokens to the guided logits after the last of them.

    Inputs: codes i64 [K, S]; total_length i32 [] = cached + S; guidance_scale f32 [];
    past_key_values.{i}.decoder.{key,value} f32 [2, heads, capacity, head size], to be bound to the
    same memory as present.{i}.decoder.…; past_key_values.{i}.encoder.{key,value} as
    cross_attention makes them. Output: logits f32 [K, V].
    Raises ModelLoadFailed for an activation that no MusicGen has.
    """
    if config.activation_function not in ACTIVATIONS:
        raise ModelLoadFailed(
            f"The decoder's activation '{config.activation_function}' is not one of "
            f"{', '.join(ACTIVATIONS)}."
        )
    forms = forms or Forms()
    with GraphWriter(path, {}, forms.eight_bits, forms.four_bits) as graph:
        _DecoderGraph(graph, config, weights, precision).write(on_layer)


class _DecoderGraph:
    """The nodes of decoder.onnx, block by block."""

    def __init__(
        self, graph: GraphWriter, config: DecoderConfig, weights: Weights, precision: Precision
    ) -> None:
        self._graph = graph
        self._config = config
        self._weights = weights
        self._precision: Precision = precision
        self._cache_shape: list[int | str] = [
            2, config.num_attention_heads, "capacity", config.head_size,
        ]  # fmt: skip

    def write(self, on_layer: OnLayer) -> None:
        graph, layers = self._graph, self._config.num_hidden_layers
        codes = graph.input("codes", np.int64, [self._config.num_codebooks, "steps"])
        self._total = graph.input("total_length", np.int32, [])
        scale = graph.input("guidance_scale", np.float32, [])
        last_index = graph.node("Sub", [self._total, self._int32("one", 1)])
        self._last_indices = graph.node("Expand", [last_index, self._int64("rows", [2])])
        residual = self._embed(codes)
        addition: str | None = None
        for layer in range(layers):
            name = f"layers.{layer}"
            normal, residual = self._normalised(residual, addition, f"{name}.self_attn_layer_norm")
            addition = self._self_attention(normal, layer)
            normal, residual = self._normalised(
                residual, addition, f"{name}.encoder_attn_layer_norm"
            )
            addition = self._cross_attention(normal, layer)
            normal, residual = self._normalised(residual, addition, f"{name}.final_layer_norm")
            addition = self._feed_forward(normal, name)
            on_layer(layer)
        self._heads(residual, addition, scale)

    def _embed(self, codes: str) -> str:
        """Sum of the codebooks' embeddings plus sinusoidal positions, [2, S, width]."""
        graph, width = self._graph, self._config.hidden_size
        summed = ""
        for codebook in range(self._config.num_codebooks):
            index = self._int64(f"codebook.{codebook}", codebook)
            ids = graph.node("Gather", [codes, index], axis=0)
            table = self._vector(f"embed_tokens.{codebook}.weight")
            embedded = graph.node("Gather", [table, ids], axis=0)
            summed = graph.node("Add", [summed, embedded]) if summed else embedded
        steps = graph.node("Shape", [codes], start=1, end=2)
        steps = graph.node("Squeeze", [graph.node("Cast", [steps], to=_INT32)])
        first = graph.node("Sub", [self._total, steps])
        positions = graph.node("Range", [first, self._total, self._int32("one", 1)])
        positions = graph.node("Cast", [positions], to=_FLOAT)
        positions = graph.node("Unsqueeze", [positions, self._int64("axis_1", [1])])
        angles = graph.node(
            "Mul", [positions, graph.constant("frequencies", frequencies(width), np.float32)]
        )
        cosines, sines = graph.node("Cos", [angles]), graph.node("Sin", [angles])
        waves = graph.node("Concat", [cosines, sines], axis=1)
        hidden = graph.node("Add", [summed, waves])
        hidden = graph.node("Unsqueeze", [hidden, self._int64("axis_0", [0])])
        return graph.node("Concat", [hidden, hidden], axis=0)

    def _normalised(self, residual: str, addition: str | None, name: str) -> tuple[str, str]:
        """Layer norm of residual + addition, and that sum: one operator for both."""
        graph = self._graph
        norm = [self._vector(f"{name}.weight"), self._vector(f"{name}.bias")]
        if addition is None:
            return graph.node(
                "LayerNormalization", [residual, *norm], axis=-1, epsilon=EPSILON
            ), residual
        outputs = [f"{name}.output", "", "", f"{name}.residual"]
        graph.node(
            "SkipLayerNormalization",
            [residual, addition, *norm],
            outputs=outputs,
            domain=MICROSOFT,
            epsilon=EPSILON,
        )
        return outputs[0], outputs[3]

    def _self_attention(self, hidden: str, layer: int) -> str:
        graph, heads = self._graph, self._config.num_attention_heads
        name = f"layers.{layer}.self_attn"
        qkv = np.concatenate([self._weights[f"{name}.{part}_proj.weight"] for part in "qkv"])
        packed = _linear(graph, hidden, f"{name}.qkv_proj.weight", qkv, self._precision)
        caches: list[str] = []
        presents: list[str] = []
        for part in ("key", "value"):
            cache = f"{layer}.decoder.{part}"
            caches.append(graph.input(f"past_key_values.{cache}", np.float32, self._cache_shape))
            presents.append(f"present.{cache}")
            _output(graph, f"present.{cache}", np.float32, self._cache_shape)
        attended = graph.node(
            "GroupQueryAttention",
            [packed, "", "", *caches, self._last_indices, self._total],
            outputs=[f"{name}.output", *presents],
            domain=MICROSOFT,
            num_heads=heads,
            kv_num_heads=heads,
        )
        return self._linear(attended, f"{name}.out_proj.weight")

    def _cross_attention(self, hidden: str, layer: int) -> str:
        graph, config = self._graph, self._config
        name = f"layers.{layer}.encoder_attn"
        shape: list[int | str] = [2, config.num_attention_heads, "text", config.head_size]
        text = [
            graph.input(f"past_key_values.{layer}.encoder.{part}", np.float32, shape)
            for part in ("key", "value")
        ]
        query = self._linear(hidden, f"{name}.q_proj.weight")
        attended = graph.node(
            "MultiHeadAttention",
            [query, *text],
            domain=MICROSOFT,
            num_heads=config.num_attention_heads,
        )
        return self._linear(attended, f"{name}.out_proj.weight")

    def _feed_forward(self, hidden: str, name: str) -> str:
        operator, domain = ACTIVATIONS[self._config.activation_function]
        inner = self._linear(hidden, f"{name}.fc1.weight")
        inner = self._graph.node(operator, [inner], domain=domain)
        return self._linear(inner, f"{name}.fc2.weight")

    def _heads(self, residual: str, addition: str | None, scale: str) -> None:
        """Logits of the last step: without + scale · (with − without), before the heads."""
        graph, config = self._graph, self._config
        hidden, _ = self._normalised(residual, addition, "layer_norm")
        last = graph.node("Gather", [hidden, self._int64("last", -1)], axis=1)
        with_prompt, without = (
            graph.node("Gather", [last, self._int64(f"row.{row}", [row])], axis=0) for row in (0, 1)
        )
        difference = graph.node("Sub", [with_prompt, without])
        guided = graph.node("Add", [without, graph.node("Mul", [difference, scale])])
        weight = np.concatenate(
            [self._weights[f"lm_heads.{k}.weight"] for k in range(config.num_codebooks)]
        )
        logits = _linear(graph, guided, "lm_heads.weight", weight, HEADS_PRECISION[self._precision])
        shape = self._int64("by_codebook", [config.num_codebooks, config.vocab_size])
        graph.node("Reshape", [logits, shape], outputs=["logits"])
        _output(graph, "logits", np.float32, [config.num_codebooks, config.vocab_size])

    def _linear(self, value: str, name: str) -> str:
        return _linear(self._graph, value, name, self._weights[name], self._precision)

    def _vector(self, name: str) -> str:
        return _weight(self._graph, name, self._weights[name])

    def _int64(self, name: str, value: int | list[int]) -> str:
        return self._graph.constant(name, value)

    def _int32(self, name: str, value: int) -> str:
        return self._graph.constant(name, value, np.int32)


def _weight(graph: GraphWriter, name: str, values: NDArray[np.float32]) -> str:
    return graph.weight(name, lambda: values)


def _linear(
    graph: GraphWriter,
    value: str,
    name: str,
    weight: NDArray[np.float32],
    precision: Precision = "fp32",
) -> str:
    """value · weightᵀ, for a weight float32 [outputs, inputs]."""
    outputs, inputs = weight.shape
    return graph.linear(value, name, lambda _: weight, (outputs, inputs), StoredAs(precision))


def _output(graph: GraphWriter, name: str, dtype: type[np.generic], shape: list[int | str]) -> None:
    """What a node makes under this name: without an operator between, it is written in place."""
    graph.output(name, name, dtype, shape)


_FLOAT = 1  # onnx.TensorProto.FLOAT
_INT32 = 6  # onnx.TensorProto.INT32


def frequencies(width: int) -> NDArray[np.float32]:
    """1 / 10000^(i / (width/2 − 1)), float32 [width / 2]: the tensor2tensor form of sinusoids."""
    half = width // 2
    exponents = np.arange(half, dtype=np.float32) * np.float32(-np.log(10000.0) / (half - 1))
    return np.exp(exponents)
