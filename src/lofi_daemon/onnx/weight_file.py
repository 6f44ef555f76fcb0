"""A graph's weights in a file of their own, written one after another, resumable after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lofi_daemon.onnx.external_weights import ALIGNMENT, INSIDE_BYTES, external_tensor


class WeightFile:
    """The growing data file and its journal.

    A line of the journal is written after the bytes it tells of; bytes without a line are cut off.
    """

    def __init__(self, data: Path, identity: dict[str, Any]) -> None:
        self._data = data
        self._part = data.with_suffix(".bin.part")
        self._journal_path = data.with_suffix(".bin.journal")
        self._written: dict[str, list[dict[str, Any]]] = {}
        self._facts: dict[str, Any] = {}
        self._position = 0
        lines = self._read_journal()
        if lines[:1] == [identity] and self._part.is_file():
            there = self._part.stat().st_size
            kept = [line for line in lines[1:] if line["end"] <= there]
        else:
            kept = []
            self._part.touch()
        self._stream: IO[bytes] = self._part.open("r+b")
        # Written anew: a line that a crash cut off would spoil the one after it.
        self._journal = self._journal_path.open("w", encoding="utf-8")
        self._note(identity)
        for line in kept:
            self._written[line["name"]] = line["tensors"]
            self._facts[line["name"]] = line["facts"]
            self._position = line["end"]
            self._note(line)
        self._stream.truncate(self._position)
        self._stream.seek(self._position)

    def has(self, name: str) -> bool:
        return name in self._written

    def facts(self, name: str) -> Any:
        """What was noted of a weight when it was written."""
        return self._facts[name]

    def write(self, name: str, values: dict[str, NDArray[Any]], facts: Any = None) -> None:
        """Append tensors; values: by the suffix that their names get; facts: for the journal."""
        tensors: list[dict[str, Any]] = []
        for suffix, value in values.items():
            if value.nbytes >= ALIGNMENT:
                self._stream.write(b"\0" * (-self._position % ALIGNMENT))
                self._position += -self._position % ALIGNMENT
            self._stream.write(np.ascontiguousarray(value).tobytes())
            tensors.append(
                {
                    "name": name + suffix,
                    "type": int(helper.np_dtype_to_tensor_dtype(value.dtype)),
                    "dims": list(value.shape),
                    "offset": self._position,
                    "bytes": value.nbytes,
                }
            )
            self._position += value.nbytes
        self._stream.flush()
        self._written[name] = tensors
        self._facts[name] = facts
        end = self._position
        self._note({"name": name, "tensors": tensors, "end": end, "facts": facts})

    def tensors(self, name: str) -> list[TensorProto]:
        """What stands in the graph for a weight: small values themselves, places of large ones."""
        return [self._tensor(facts) for facts in self._written[name]]

    def finish(self) -> None:
        """All is written: the data file gets its name."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._journal.close()
        self._part.replace(self._data)
        self._journal_path.unlink()

    def close(self) -> None:
        """Leave off: what is written stays for the next run."""
        self._stream.close()
        self._journal.close()

    def _tensor(self, facts: dict[str, Any]) -> TensorProto:
        name, data_type, dims = facts["name"], facts["type"], facts["dims"]
        if facts["bytes"] >= INSIDE_BYTES:
            return external_tensor(
                name, data_type, dims, self._data.name, facts["offset"], facts["bytes"]
            )
        self._stream.flush()
        with self._part.open("rb") as stream:
            stream.seek(facts["offset"])
            values = stream.read(facts["bytes"])
        return TensorProto(name=name, data_type=data_type, dims=dims, raw_data=values)

    def _note(self, line: dict[str, Any]) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _read_journal(self) -> list[dict[str, Any]]:
        """The lines that are whole."""
        if not self._journal_path.is_file():
            return []
        text = self._journal_path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]
