"""Writing one ONNX graph, its weights in a file beside it, weight by weight and resumable.

Writing takes the memory of one weight. Interrupted at any instant, the next run of the same work
goes on after the last weight that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.weight_file import WeightFile
from lofi_daemon.onnx.weight_formats import (
    MICROSOFT,
    Storage,
    WeightFormat,
    multiplication,
    pack,
)

OPSET = 18
IR_VERSION = 8
EIGHT_BITS = Storage(WeightFormat.INT8_COLUMNS)
FOUR_BITS = Storage(WeightFormat.INT4_BLOCKS)

Tensors = Callable[[str], NDArray[np.float32]]
"""Reads a tensor of the checkpoint by its name, as float32."""


class Precision(str, Enum):
    """How the matrices of the repeated layers are stored; everything else is float32."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"

    @property
    def sensitive(self) -> Precision:
        """For what everything passes through: where others have 4 bits it keeps 8."""
        return Precision.INT8 if self is Precision.INT4 else self


class GraphWriter:
    """A graph under construction; a context manager that writes `path` and its `.bin` at its end.

    identity: what an interrupted run must have had in common with this one to be gone on with.
    eight_bits, four_bits: how INT8 and INT4 are stored.
    on_weight gets the values of the checkpoint that each weight was made of. Methods that add
    something return the name of the value it makes. Raises Cancelled between two weights.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        eight_bits: Storage = EIGHT_BITS,
        four_bits: Storage = FOUR_BITS,
        *,
        on_weight: Callable[[int], None] = lambda count: None,
        cancel: CancelToken | None = None,
    ) -> None:
        self._path = path
        self._storage = {Precision.INT8: eight_bits, Precision.INT4: four_bits}
        self._on_weight = on_weight
        self._cancel = cancel or CancelToken()
        self._weights = WeightFile(path.with_suffix(".bin"), dict(identity))
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._written: list[str] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write()
        else:
            self._weights.close()

    def input(self, name: str, dtype: type[np.generic], shape: list[int | str]) -> str:
        self._inputs.append(_value_info(name, dtype, shape))
        return name

    def output(
        self, value: str, name: str, dtype: type[np.generic], shape: list[int | str]
    ) -> None:
        """Give a value to the outside under a name, which may be its own."""
        if value != name:
            self.node("Identity", [value], outputs=[name])
        self._outputs.append(_value_info(name, dtype, shape))

    def weight(self, name: str, make: Callable[[], NDArray[Any]]) -> str:
        """A value of the checkpoint; `make` is called only if it is not written yet."""
        self._store(name, lambda: {"": make()})
        return name

    def constant(self, name: str, value: Any, dtype: type[np.generic] = np.int64) -> str:
        """A small value of the algorithm; one of the same name is there once."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, dtype=dtype), name)
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
        self,
        value: str,
        name: str,
        tensors: Tensors,
        shape: tuple[int, int],
        precision: Precision = Precision.FP32,
    ) -> str:
        """value · weightᵀ, for a tensor [outputs, inputs] = shape of the checkpoint."""

        def matrix() -> NDArray[np.float32]:
            read = tensors(name)
            assert read.shape == shape, f"{name} has the shape {read.shape}, not {shape}"
            return np.ascontiguousarray(read.T)

        if precision is Precision.FP32:
            return self.node("MatMul", [value, self.weight(name, matrix)])
        if precision is Precision.FP16:
            half = self.weight(f"{name}.half", lambda: in_half_precision(matrix()))
            widened = self.node("Cast", [half], to=TensorProto.FLOAT)
            return self.node("MatMul", [value, widened])
        packing = self._storage[precision].packing(shape[1], shape[0])

        def packed() -> dict[str, NDArray[Any]]:
            stored = pack(matrix(), packing.format, packing.block).tensors
            return {f".{role}": tensor for role, tensor in stored.items()}

        self._store(name, packed)
        roles = {role: f"{name}.{role}" for role in ("weight", "scale")}
        product = f"Product_{len(self._nodes)}"
        self._nodes.append(multiplication(packing, value, roles, product, product))
        return product

    def _store(self, name: str, make: Callable[[], Mapping[str, NDArray[Any]]]) -> None:
        if name in self._written:
            return
        self._cancel.raise_if_cancelled()
        if not self._weights.has(name):
            self._weights.write(name, dict(make()))
        self._written.append(name)
        self._on_weight(sum(int(np.prod(t.dims)) for t in self._weights.tensors(name)))

    def _write(self) -> None:
        initializers = list(self._constants.values())
        for name in self._written:
            initializers += self._weights.tensors(name)
        self._weights.finish()
        graph = helper.make_graph(
            self._nodes, self._path.stem, self._inputs, self._outputs, initializers
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lofi-daemon"
        )
        temporary = self._path.with_suffix(".onnx.part")
        temporary.write_bytes(model.SerializeToString())
        temporary.replace(self._path)


def in_half_precision(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """As float16; what it cannot hold becomes its largest value."""
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype(np.float16)


def _value_info(name: str, dtype: type[np.generic], shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )
