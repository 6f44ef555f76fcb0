"""How one matrix of weights is stored with fewer bits, and the operator that multiplies with it.

int4 and int8 "blocks" (MatMulNBits): so many weights of a column share a scale; activations are
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
# Multiply in int8. Without it rows are unpacked to fp32, many times slower than not quantising.
ACCURACY_LEVEL = 4


class WeightFormat(str, Enum):
    INT4_BLOCKS = "int4-blocks"
    INT8_BLOCKS = "int8-blocks"
    INT8_COLUMNS = "int8-columns"

    @property
    def bits(self) -> int:
        return 4 if self is WeightFormat.INT4_BLOCKS else 8


@dataclass(frozen=True)
class Storage:
    """A format; block: weights of a column that share a scale, where it is one of blocks."""

    format: WeightFormat
    block: int = BLOCK

    def packing(self, rows: int, columns: int) -> Packing:
        """Of a matrix of this shape."""
        return Packing(self.format, rows, columns, self.block)


@dataclass(frozen=True)
class Packing:
    """What the operator must know of a stored matrix [rows, columns]; block: weights a scale."""

    format: WeightFormat
    rows: int
    columns: int
    block: int = BLOCK


@dataclass(frozen=True)
class PackedWeights:
    """The tensors that stand for a float32 matrix, by the role they have as inputs."""

    packing: Packing
    tensors: Mapping[str, NDArray[Any]]


def pack(
    weights: NDArray[np.float32], weight_format: WeightFormat, block: int = BLOCK
) -> PackedWeights:
    """Store a matrix [K, N] in a format. Every finite float32 is taken.

    In blocks, "weight" is uint8 [N, blocks, block · bits / 8] and "scale" float32 [N, blocks]; in
    columns they are int8 [K, N] and float32 [N].
    """
    rows, columns = weights.shape
    packing = Packing(weight_format, rows, columns, block)
    if weight_format is WeightFormat.INT8_COLUMNS:
        peaks = np.maximum(weights.max(axis=0), -weights.min(axis=0))
        scales = np.where(peaks > 0.0, peaks / 127.0, 1.0).astype(np.float32)
        rounded = np.rint(weights / scales).astype(np.int8)
        return PackedWeights(packing, {"weight": rounded, "scale": scales})
    bits, blocks = weight_format.bits, -(-rows // block)
    packed = np.zeros((columns, blocks, block * bits // 8), dtype=np.uint8)
    scales = np.zeros((columns, blocks), dtype=np.float32)
    zero_points = np.zeros((columns, -(-blocks * bits // 8)), dtype=np.uint8)
    quantize = _native.quantize_matmul_4bits if bits == 4 else _native.quantize_matmul_8bits
    contiguous = np.ascontiguousarray(weights, dtype=np.float32)
    quantize(packed, contiguous, scales, zero_points, block, columns, rows, True)
    return PackedWeights(packing, {"weight": packed, "scale": scales})


def rounding_error(weights: NDArray[np.float32], packed: PackedWeights) -> float:
    """Root mean square of what int4 blocks have changed in a matrix [K, N], relative to it."""
    nibbles = packed.tensors["weight"]
    columns, blocks = nibbles.shape[:2]
    pairs = np.stack((nibbles & 15, nibbles >> 4), axis=-1).reshape(columns, blocks, -1)
    restored = (pairs.astype(np.float32) - 8.0) * packed.tensors["scale"][..., None]
    restored = restored.reshape(columns, -1)[:, : packed.packing.rows].T
    size = float(np.linalg.norm(weights))
    return float(np.linalg.norm(restored - weights)) / size if size > 0.0 else 0.0


def multiplication(
    packing: Packing, activations: str, tensors: Mapping[str, str], output: str, name: str
) -> NodeProto:
    """The node output = activations × weights; tensors: names by role, as `pack` calls them."""
    inputs = [activations, tensors["weight"], tensors["scale"]]
    if packing.format is WeightFormat.INT8_COLUMNS:
        return helper.make_node(
            "DynamicQuantizeMatMul", inputs, [output], name=name, domain=MICROSOFT
        )
    return helper.make_node(
        "MatMulNBits",
        inputs,
        [output],
        name=name,
        domain=MICROSOFT,
        K=packing.rows,
        N=packing.columns,
        bits=packing.format.bits,
        block_size=packing.block,
        accuracy_level=ACCURACY_LEVEL,
    )
