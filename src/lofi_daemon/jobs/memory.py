"""Which models may stay in memory for a job: decided anew for each, from what it needs."""

from __future__ import annotations

from collections.abc import Mapping

from lofi_daemon import memory
from lofi_daemon.backends.protocol import Backend, GenerationRequest, Need, Phase, Residency
from lofi_daemon.errors import ModelLoadFailed

# All of a model stays only where this much is left for the editor and everything else, or, for a
# small model, as much as it takes itself.
LEFT_BYTES = 4_000_000_000


def make_room(backend: Backend, request: GenerationRequest) -> Residency:
    """How the model is to be in memory for this request; one that is in the way is unloaded.

    Raises ModelLoadFailed with both numbers where not even the largest phase fits.
    """
    needs = backend.needs(request)
    free = memory.available_memory()
    if free is None:
        return Residency.KEPT
    if backend.residency is Residency.KEPT and free >= max(each.working for each in needs.values()):
        return Residency.KEPT
    if backend.residency is not None:
        backend.unload()
        memory.give_back_freed_memory()
        free = memory.available_memory() or 0
    largest = max(needs, key=lambda phase: needs[phase].total)
    if free < needs[largest].total:
        raise _refusal(backend, request, largest, needs[largest], free)
    return residency_in(needs, free)


def residency_in(needs: Mapping[Phase, Need], free: int) -> Residency:
    """Whether everything may stay in `free` bytes, or each phase must make room for the next."""
    everything = sum(each.total for each in needs.values())
    left = min(everything, LEFT_BYTES)
    return Residency.KEPT if free >= everything + left else Residency.BY_PHASE


def _refusal(
    backend: Backend, request: GenerationRequest, phase: Phase, need: Need, free: int
) -> ModelLoadFailed:
    info = backend.info
    remedies = ["Close other programs"]
    if need.model <= free and request.duration_sec > info.min_duration_sec:
        remedies.append("ask for a shorter track")
    if info.files is not None and info.files.smaller:
        quantize = f"`lofi-daemon quantize {info.type} --bits 4`"
        remedies.append(f"{quantize} makes it several times smaller")
    if info.full_model:
        remedies.append("or use the demo backend")
    work = phase.value.replace("_", " ").capitalize()
    return ModelLoadFailed(
        f"{work} {request.duration_sec:g} s of music with {info.name} needs "
        f"{need.total / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are available.",
        hint=f"{'; '.join(remedies)}.",
        needed_bytes=need.total,
        available_bytes=free,
    )
