"""Which graphs of a bundle are in memory when.

Where there is plenty of room, all of them from the first request on. Where there is not, each
phase loads its own and drops them when it is over: the encoders before diffusion, the transformer
before the decoder. Then the largest phase decides what is needed, and not the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lofi_daemon.backends.checks import check_memory
from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    CONTEXT_ENCODER,
    DCAE,
    TEXT_ENCODER,
    TRANSFORMER,
    VOCODER,
    read_manifest,
)
from lofi_daemon.backends.kit.residency import graphs_bytes
from lofi_daemon.memory import available_memory

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


def needed_bytes(folder: Path) -> Mapping[str, int]:
    """Memory that each phase needs: its graphs' files, and working memory.

    Raises ModelLoadFailed when the manifest is broken.
    """
    precision = read_manifest(folder).precision
    working = WORKING_BYTES_PER_WEIGHT / BYTES_OF_WEIGHT.get(precision, 4.0)
    return {
        phase: round((1.0 + working) * graphs_bytes(folder, graphs) + WORKING_BYTES)
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
