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
from onnx import helper

from lofi_daemon.backends.musicgen.bundle import Precision
from lofi_daemon.onnx.external_weights import ALIGNMENT, INSIDE_BYTES, external_tensor
from lofi_daemon.onnx.weight_formats import MICROSOFT, WeightFormat, multiplication, pack

OPSET = 17
IR_VERSION = 8
# Twice the weights a scale that the formats have by default: a step reads every weight once, and
# this is what it reads less.
BLOCK = 64
FORMATS = {"int8": WeightFormat.INT8_BLOCKS, "int4": WeightFormat.INT4_BLOCKS}


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
        data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
        location = self._weights_path.name
        self._initializers.append(
            external_tensor(name, data_type, value.shape, location, offset, value.nbytes)
        )
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
        packed = pack(weight.T, FORMATS[precision], BLOCK)
        tensors = {
            role: self.constant(f"{name}.{precision}.{role}", tensor)
            for role, tensor in packed.tensors.items()
        }
        product = f"MatMulNBits_{len(self._nodes)}"
        self._nodes.append(multiplication(packed.packing, value, tensors, product, product))
        return product

    def _write(self) -> None:
        graph = helper.make_graph(
            self._nodes, self._path.stem, self._inputs, self._outputs, self._initializers
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lofi-daemon"
        )
        self._path.write_bytes(model.SerializeToString())


def _value_info(name: str, dtype: type[np.generic], shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )
