"""Which models of a pipeline are in memory when.

Where there is plenty of room, all of them from the first request on. Where there is not, each
phase loads its own and drops those of the others: the encoders before diffusion, the transformer
before the decoder. Then the largest phase decides what is needed, and not the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from lofi_daemon.backends.protocol import Phase, PhaseProgress, ProgressCallback
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.memory import give_back_freed_memory
from lofi_daemon.onnx.processor import byte_products_saturate

ModelT = TypeVar("ModelT")

# Measured on the transformer of ACE-Step 1.5, of 1.67 GB: without VNNI 2.70 GB were held.
EXACT_COPY = 0.65


class Resident(Generic[ModelT]):
    """A model that is loaded when it is first needed, and can be dropped until the next time.

    bytes: of the files that it is made of.
    """

    def __init__(self, load: Callable[[], ModelT], bytes: int) -> None:
        self._load = load
        self._model: ModelT | None = None
        self.bytes = bytes

    def get(self) -> ModelT:
        """Raises ModelNotFound and ModelLoadFailed, naming the file."""
        if self._model is None:
            self._model = self._load()
        return self._model

    def drop(self) -> None:
        self._model = None


class Residents:
    """All models of a pipeline, in the order in which its phases use them.

    keep: they stay once they are loaded.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._parts: list[Resident[Any]] = []
        self.keep = keep

    def add(self, load: Callable[[], ModelT], *graphs: str) -> Resident[ModelT]:
        """graphs: names of the files that the model is made of, without their endings.

        load must not hold the pipeline: memory would stay taken until the cycle is found.
        """
        part = Resident(load, graphs_bytes(self._folder, graphs))
        self._parts.append(part)
        return part

    def load_all(self, on_progress: ProgressCallback, cancel: CancelToken) -> None:
        """Raises ModelNotFound, ModelLoadFailed, Cancelled."""
        done, total = 0, sum(part.bytes for part in self._parts)
        for number, part in enumerate(self._parts, start=1):
            part.get()
            done += part.bytes
            on_progress(PhaseProgress(Phase.LOADING, number, len(self._parts), done / total))
            cancel.raise_if_cancelled()

    def make_room_for(self, *needed: Resident[Any]) -> None:
        """Where memory is short, drop what the coming phase does not need."""
        if not self.keep:
            for part in self._parts:
                if part not in needed:
                    part.drop()
            # What is freed in many pieces stays with the process, and the next phase comes on top.
            give_back_freed_memory()


def graphs_bytes(folder: Path, graphs: tuple[str, ...], *, columns_of_bytes: bool = False) -> int:
    """What graphs take when they are loaded: as much as they and their weights have on the disk,
    which lie beside them under names that begin as theirs.

    columns_of_bytes: their matrices are so; they are held twice where products are made exact.
    """
    size = sum(
        path.stat().st_size
        for graph in graphs
        for path in folder.glob(f"{graph}*")
        if path.is_file()
    )
    held_twice = columns_of_bytes and byte_products_saturate()
    return round((1.0 + EXACT_COPY) * size) if held_twice else size
