"""Which graphs of a bundle are in memory when.

Where there is plenty of room, all of them from the first request on. Where there is not, each
phase loads its own and drops them when it is over: the encoders before diffusion, the transformer
before the decoder. Then the largest phase decides what is needed, and not the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from lofi_daemon.backends.checks import check_memory
from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    CONTEXT_ENCODER,
    DCAE,
    TEXT_ENCODER,
    TRANSFORMER,
    VOCODER,
    read_manifest,
)
from lofi_daemon.memory import available_memory

ModelT = TypeVar("ModelT")

PHASES: Mapping[str, tuple[str, ...]] = {
    "encoding": (TEXT_ENCODER, CONTEXT_ENCODER),
    "diffusing": (TRANSFORMER,),
    "decoding": (DCAE, VOCODER),
}
# What a call needs besides its weights, for a track of a minute: activations, which grow with the
# model and not with the bits of its weights (1.0 GB measured at the real size).
BYTES_OF_WEIGHT = {"fp32": 4.0, "fp16": 2.0, "int8": 1.0, "int4": 0.75}
WORKING_BYTES_PER_WEIGHT = 0.35
WORKING_BYTES = 150_000_000
# All graphs stay only where this much is left for the editor and everything else, or, for a small
# model, as much as it takes itself.
LEFT_BYTES = 4_000_000_000


class Resident(Generic[ModelT]):
    """A model that is loaded when it is first needed, and can be dropped until the next time.

    graphs: names of the files in `folder` that it is made of, without their ending.
    """

    def __init__(self, load: Callable[[], ModelT], folder: Path, *graphs: str) -> None:
        self._load = load
        self._folder = folder
        self._graphs = graphs
        self._model: ModelT | None = None

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(_bytes(self._folder, graph) for graph in self._graphs)

    def get(self) -> ModelT:
        """Raises ModelNotFound and ModelLoadFailed, naming the file."""
        if self._model is None:
            self._model = self._load()
        return self._model

    def drop(self) -> None:
        self._model = None


def needed_bytes(folder: Path) -> Mapping[str, int]:
    """Memory that each phase needs: its graphs' files, and working memory.

    Raises ModelLoadFailed when the manifest is broken.
    """
    precision = read_manifest(folder).precision
    working = WORKING_BYTES_PER_WEIGHT / BYTES_OF_WEIGHT.get(precision, 4.0)
    return {
        phase: round(
            (1.0 + working) * sum(_bytes(folder, graph) for graph in graphs) + WORKING_BYTES
        )
        for phase, graphs in PHASES.items()
    }


def everything_fits(folder: Path, remedy: str, available: int | None = None) -> bool:
    """Whether all graphs may stay in memory, or each phase must make room for the next.

    Raises ModelLoadFailed with both numbers where not even the largest phase fits.
    """
    if available is None:
        available = available_memory()
    if available is None:
        return True
    needed = needed_bytes(folder)
    phase = max(needed, key=needed.__getitem__)
    check_memory(f"{phase.capitalize()} with {folder}", needed[phase], available, remedy)
    everything = sum(needed.values())
    return available >= everything + min(everything, LEFT_BYTES)


def _bytes(folder: Path, graph: str) -> int:
    """A graph and its weights, which lie beside it under a name that begins as its own."""
    return sum(path.stat().st_size for path in folder.glob(f"{graph}*") if path.is_file())
