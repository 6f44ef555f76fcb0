"""Writing one ONNX graph with its weights beside it, weight by weight.

The weights go straight into an external data file, so that writing needs the memory of one of
them, and onnxruntime maps the file instead of copying it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.capi import (  # the extension module has no types
    onnxruntime_pybind11_state as quantisers,  # pyright: ignore[reportAttributeAccessIssue]
)

from lofi_daemon.backends.musicgen.bundle import Precision

OPSET = 17
IR_VERSION = 8
MICROSOFT = "com.microsoft"
# Onnxruntime maps a weight where it lies; Windows can map only at multiples of 64 KiB.
ALIGNMENT = 1 << 16
# Below this size a weight stays inside the graph.
INSIDE_BYTES = 1024
# MatMulNBits: weights of one block share a scale; level 4 multiplies in int8. Without it two rows
# at a time are unpacked to fp32, which is many times slower than not quantising at all.
BLOCK_SIZE = 64
ACCURACY_LEVEL = 4


class GraphWriter:
    """A graph under construction; a context manager that writes `path` and its `.bin` at its end.

    Every method that adds something returns the name of the value it makes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._weights_path = path.with_suffix(".bin")
        self._weights = self._weights_path.open("wb")
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._named: set[str] = set()

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._weights.close()
        if kind is None:
            self._write()

    def input(self, name: str, dtype: type[np.generic], shape: list[int | str]) -> str:
        self._inputs.append(_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: type[np.generic], shape: list[int | str]) -> None:
        self._outputs.append(_value_info(name, dtype, shape))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A weight; one of the same name is written once."""
        if name in self._named:
            return name
        self._named.add(name)
        if value.nbytes < INSIDE_BYTES:
            self._initializers.append(onnx.numpy_helper.from_array(value, name))
            return name
        self._weights.seek(-self._weights.tell() % ALIGNMENT, 1)
        offset = self._weights.tell()
        self._weights.write(np.ascontiguousarray(value).data)
        tensor = TensorProto(
            name=name,
            dims=value.shape,
            data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        facts = {
            "location": self._weights_path.name,
            "offset": str(offset),
            "length": str(value.nbytes),
        }
        for key, text in facts.items():
            tensor.external_data.add(key=key, value=text)
        self._initializers.append(tensor)
        return name

    def node(
        self,
        operator: str,
        inputs: list[str],
        *,
        outputs: list[str] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """An operator; without `outputs` it has one, with a name of its own."""
        outputs = outputs or [f"{operator}_{len(self._nodes)}"]
        self._nodes.append(
            helper.make_node(
                operator, inputs, outputs, name=outputs[0], domain=domain, **attributes
            )
        )
        return outputs[0]

    def linear(
        self, value: str, name: str, weight: NDArray[np.float32], precision: Precision = "fp32"
    ) -> str:
        """value · weightᵀ, for a weight float32 [outputs, inputs], stored in a precision."""
        if precision == "fp32":
            return self.node("MatMul", [value, self.constant(name, weight.T)])
        bits = 8 if precision == "int8" else 4
        packed, scales = quantized(weight, bits)
        return self.node(
            "MatMulNBits",
            [
                value,
                self.constant(f"{name}.{precision}", packed),
                self.constant(f"{name}.scales", scales),
            ],
            domain=MICROSOFT,
            N=weight.shape[0],
            K=weight.shape[1],
            bits=bits,
            block_size=BLOCK_SIZE,
            accuracy_level=ACCURACY_LEVEL,
        )

    def _write(self) -> None:
        graph = helper.make_graph(
            self._nodes, self._path.stem, self._inputs, self._outputs, self._initializers
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lofi-daemon"
        )
        self._path.write_bytes(model.SerializeToString())


def quantized(weight: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Blockwise symmetric integers of a weight float32 [N, K], by onnxruntime's own quantiser.

    Returns uint8 [N, K / block, block · bits / 8] and scales float32 [N, K / block].
    """
    outputs, inputs = weight.shape
    block = BLOCK_SIZE
    blocks = -(-inputs // block)
    columns = np.zeros((blocks * block, outputs), dtype=np.float32)
    columns[:inputs] = weight.T
    packed = np.zeros((outputs, blocks, block * bits // 8), dtype=np.uint8)
    scales = np.zeros((outputs, blocks), dtype=np.float32)
    zero_points = np.zeros((outputs, -(-blocks * bits // 8)), dtype=np.uint8)
    quantise = {4: quantisers.quantize_matmul_4bits, 8: quantisers.quantize_matmul_8bits}[bits]
    quantise(packed, columns, scales, zero_points, block, outputs, inputs, True)
    return packed, scales


def _value_info(name: str, dtype: type[np.generic], shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )
