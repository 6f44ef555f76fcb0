"""Graphs whose weights lie in files beside them, where onnxruntime maps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.files.names import checked_name

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


def read_model(path: Path) -> onnx.ModelProto:
    """A graph without the weights beside it. Raises ModelLoadFailed."""
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ModelLoadFailed(f"Model file {path} cannot be read: {error}") from error


def external_files(model: onnx.ModelProto, folder: Path) -> list[Path]:
    """The files beside a graph that hold its weights; folder: the graph's."""
    places = {
        _place(tensor, folder)[0]
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    return sorted(places)


def read_weight(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """One tensor's values, read from its own place and nowhere else.

    The onnx package's way keeps what it has read inside the tensor, until all weights are in
    memory. Raises ModelLoadFailed where the file is too short, OSError.
    """
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    path, offset = _place(tensor, folder)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = int(np.prod(tensor.dims, dtype=np.int64))
    values = np.fromfile(path, dtype=dtype, count=count, offset=offset)
    if values.size != count:
        raise ModelLoadFailed(f"Model file {path} ends inside the weight {tensor.name}.")
    return values.reshape(tuple(tensor.dims))


def _place(tensor: TensorProto, folder: Path) -> tuple[Path, int]:
    """The file and the offset of a weight that lies beside the graph. Raises ModelLoadFailed."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    try:
        path = folder / checked_name(where["location"].removeprefix("./"))
        offset = int(where.get("offset", 0))
        if offset < 0:
            raise ValueError(f"{offset} is no place in a file")
    except (KeyError, ValueError) as error:
        raise ModelLoadFailed(
            f"The weight {tensor.name} of a model in {folder} lies where no weight may: {error}."
        ) from error
    return path, offset


def write_model(
    model: onnx.ModelProto,
    path: Path,
    folder: Path,
    change: Callable[[NDArray[Any]], NDArray[Any]] = lambda values: values,
) -> None:
    """Write a graph to `path` and its large weights to the `.bin` beside it, one after another.

    folder: where the weights that lie outside the graph are read; change: what each becomes. The
    onnx package's way refuses links, and the Hub's caches are made of them.
    Raises ModelLoadFailed, OSError.
    """
    beside = path.with_suffix(".bin")
    with beside.open("wb") as stream:
        for tensor in model.graph.initializer:
            values = change(read_weight(tensor, folder))
            if values.nbytes < INSIDE_BYTES:
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
                continue
            stream.seek(-stream.tell() % ALIGNMENT, 1)
            offset = stream.tell()
            stream.write(np.ascontiguousarray(values).data)
            data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
            tensor.CopyFrom(
                external_tensor(
                    tensor.name, data_type, values.shape, beside.name, offset, values.nbytes
                )
            )
        nothing = stream.tell() == 0
    if nothing:
        beside.unlink()
    path.write_bytes(model.SerializeToString())
