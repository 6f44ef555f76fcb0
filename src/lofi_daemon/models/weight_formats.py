"""How one matrix of weights is stored with fewer bits, and the operator that multiplies with it.

int4 and int8 "blocks" (MatMulNBits): every 32 weights of a column share a scale; activations are
rounded block by block too. int8 "columns" (DynamicQuantizeMatMul): a scale a column, activations
rounded with one scale for the whole tensor. Which int8 is faster depends on the processor.
Weights are signed: with unsigned ones some processors need twice the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnxruntime.capi import _pybind_state

# Has no types and no public name; onnxruntime's own quantisation tools call the same functions.
_native: Any = _pybind_state

MICROSOFT = "com.microsoft"
BLOCK = 32
# Multiply in int8, and not in fp32 after unpacking.
ACCURACY_LEVEL = 4


class WeightFormat(str, Enum):
    INT4_BLOCKS = "int4-blocks"
    INT8_BLOCKS = "int8-blocks"
    INT8_COLUMNS = "int8-columns"

    @property
    def bits(self) -> int:
        return 4 if self is WeightFormat.INT4_BLOCKS else 8


@dataclass(frozen=True)
class PackedWeights:
    """The tensors that stand for a float32 [K, N] matrix, by the role they have as inputs."""

    format: WeightFormat
    rows: int
    columns: int
    tensors: Mapping[str, NDArray[Any]]


def pack(weights: NDArray[np.float32], weight_format: WeightFormat) -> PackedWeights:
    """Store a matrix [K, N] in a format. Every finite float32 is taken."""
    rows, columns = weights.shape
    if weight_format is WeightFormat.INT8_COLUMNS:
        peaks = np.maximum(weights.max(axis=0), -weights.min(axis=0))
        scales = np.where(peaks > 0.0, peaks / 127.0, 1.0).astype(np.float32)
        rounded = np.rint(weights / scales).astype(np.int8)
        return PackedWeights(weight_format, rows, columns, {"weight": rounded, "scale": scales})
    blocks = -(-rows // BLOCK)
    packed = np.zeros((columns, blocks, BLOCK * weight_format.bits // 8), dtype=np.uint8)
    scales = np.zeros(columns * blocks, dtype=np.float32)
    zero_points = np.zeros(columns * (-(-blocks * weight_format.bits // 8)), dtype=np.uint8)
    quantize = (
        _native.quantize_matmul_4bits if weight_format.bits == 4 else _native.quantize_matmul_8bits
    )
    contiguous = np.ascontiguousarray(weights, dtype=np.float32)
    quantize(packed, contiguous, scales, zero_points, BLOCK, columns, rows, True)
    return PackedWeights(weight_format, rows, columns, {"weight": packed, "scale": scales})


def rounding_error(weights: NDArray[np.float32], packed: PackedWeights) -> float:
    """Root mean square of what int4 blocks have changed in a matrix [K, N], relative to it."""
    blocks = packed.tensors["weight"]
    pairs = np.stack((blocks & 15, blocks >> 4), axis=-1).reshape(*blocks.shape[:2], BLOCK)
    scales = packed.tensors["scale"].reshape(*blocks.shape[:2], 1)
    restored = (pairs.astype(np.float32) - 8.0) * scales
    restored = restored.reshape(packed.columns, -1)[:, : packed.rows].T
    size = float(np.linalg.norm(weights))
    return float(np.linalg.norm(restored - weights)) / size if size > 0.0 else 0.0


def multiplication(
    weight_format: WeightFormat,
    rows: int,
    columns: int,
    activations: str,
    tensors: Mapping[str, str],
    output: str,
    name: str,
) -> NodeProto:
    """The node output = activations × weights; tensors: names by role, as `pack` calls them."""
    inputs = [activations, tensors["weight"], tensors["scale"]]
    if weight_format is WeightFormat.INT8_COLUMNS:
        return helper.make_node(
            "DynamicQuantizeMatMul", inputs, [output], name=name, domain=MICROSOFT
        )
    return helper.make_node(
        "MatMulNBits",
        inputs,
        [output],
        name=name,
        domain=MICROSOFT,
        K=rows,
        N=columns,
        bits=weight_format.bits,
        block_size=BLOCK,
        accuracy_level=ACCURACY_LEVEL,
    )
