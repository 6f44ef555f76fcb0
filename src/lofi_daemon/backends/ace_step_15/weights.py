"""Weights in .safetensors files, tensor by tensor: one file, or several and an index of them.

They are read at the places that the headers name, never mapped or unpickled, so that reading takes
the memory of one tensor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.files.names import FileName
from lofi_daemon.models.documents import read_checked

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
INDEX = ".index.json"
"""What an index has behind the name that one file would have."""
_MAX_HEADER_BYTES = 100_000_000


class Weights(Protocol):
    """Tensors by name."""

    @property
    def names(self) -> frozenset[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32. Raises ModelLoadFailed."""
        ...


def open_weights(path: Path) -> Weights:
    """What lies at `path`, or is named by the index beside it. Raises ModelLoadFailed."""
    index = path.with_name(f"{path.name}{INDEX}")
    return Shards(index) if index.is_file() and not path.is_file() else SafetensorsFile(path)


def values_of(weights: Weights, prefix: str) -> int:
    """How many values the tensors hold whose names begin so."""
    return sum(_count(weights, name) for name in weights.names if name.startswith(prefix))


def largest_of(weights: Weights) -> int:
    """How many values the largest tensor holds."""
    return max((_count(weights, name) for name in weights.names), default=0)


class SafetensorsFile:
    """One file, read tensor by tensor. Raises ModelLoadFailed naming it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                if size > _MAX_HEADER_BYTES:
                    raise ValueError("its header is too long")
                header: dict[str, Any] = json.loads(stream.read(size))
            header.pop("__metadata__", None)
            end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
            if path.stat().st_size < 8 + size + end:
                raise ValueError("it ends inside a tensor")
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise ModelLoadFailed(f"Model file {path} cannot be read: {error}.") from error
        self._start = 8 + size
        self._header = header

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._header)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._entry(name)["shape"])

    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32."""
        entry = self._entry(name)
        try:
            dtype = DTYPES[entry["dtype"]]
            begin, end = entry["data_offsets"]
            shape = tuple(int(axis) for axis in entry["shape"])
            count = int(np.prod(shape, dtype=np.int64))
            if count * np.dtype(dtype).itemsize != end - begin or begin < 0:
                raise ValueError("its place does not fit its shape")
            values = np.fromfile(self.path, dtype=dtype, count=count, offset=self._start + begin)
            if values.size != count:
                raise ValueError("the file ends inside it")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelLoadFailed(
                f"Model file {self.path} is broken at the tensor {name}: {error}."
            ) from error
        return widened(values).reshape(shape)

    def _entry(self, name: str) -> Mapping[str, Any]:
        if name not in self._header:
            raise _missing(self.path, name)
        return self._header[name]


class _Index(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    weight_map: dict[str, FileName]


class Shards:
    """Several files, and the index that says in which of them a tensor lies."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self._places = read_checked(index, _Index).weight_map
        files = sorted(set(self._places.values()))
        self._files = {name: SafetensorsFile(index.parent / name) for name in files}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file(name).shape(name)

    def read(self, name: str) -> NDArray[np.float32]:
        return self._file(name).read(name)

    def _file(self, name: str) -> SafetensorsFile:
        if name not in self._places:
            raise _missing(self._index, name)
        return self._files[self._places[name]]


def widened(values: NDArray[Any]) -> NDArray[np.float32]:
    """float32 of float32, float16, or the upper halves of float32 that bfloat16 is."""
    if values.dtype == np.uint16:
        wide = values.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return values.astype(np.float32, copy=False)


def _count(weights: Weights, name: str) -> int:
    return int(np.prod(weights.shape(name), dtype=np.int64))


def _missing(path: Path, name: str) -> ModelLoadFailed:
    return ModelLoadFailed(
        f"Model file {path} has no tensor {name}.",
        hint="It belongs to another model; download it again.",
    )
