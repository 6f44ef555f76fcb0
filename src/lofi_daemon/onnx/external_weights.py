"""Weights of a graph that lie in a file beside it, where onnxruntime maps them."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

# Windows can map a file only at multiples of 64 KiB.
ALIGNMENT = 1 << 16
# Smaller ones are put into the graph.
INSIDE_BYTES = 1024


def external_tensor(
    name: str, data_type: int, dims: Sequence[int], location: str, offset: int, length: int
) -> TensorProto:
    """The place of a weight: `length` bytes from `offset` in the file `location`.

    data_type: one of TensorProto's numbers; location: relative to the graph's folder.
    """
    tensor = TensorProto(
        name=name, data_type=data_type, dims=dims, data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
