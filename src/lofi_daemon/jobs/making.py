"""A model made ready for one track: alone in memory, and the one that the track is named after."""

from __future__ import annotations

from lofi_daemon.backends.protocol import Backend, ProgressCallback
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import LofiError, ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.jobs.memory import make_room
from lofi_daemon.tracks import Recipe


def load_for(
    registry: Registry,
    backend: Backend,
    recipe: Recipe,
    cancel: CancelToken,
    on_progress: ProgressCallback,
) -> None:
    """Have the backend ready to generate what the recipe says; every other model is unloaded.

    Raises ModelNotFound, ModelLoadFailed (also where the files are not those of the recipe any
    more), Cancelled.
    """
    registry.unload_others(backend)
    backend.prepare(cancel, on_progress)
    backend.load(cancel, on_progress, make_room(backend, recipe.request))
    if backend.availability().model_version != recipe.model_version:
        # The track's name and its sidecar say which model made it.
        raise ModelLoadFailed(
            f"The files of {backend.info.name} changed while the track waited.",
            hint="Ask for it again: the new files make it.",
        )


def out_of_memory(backend: Backend) -> LofiError:
    """What to tell where making a track ended for want of memory."""
    return ModelInferenceFailed(
        f"There is not enough memory to make this track with {backend.info.name}.",
        hint="Close other programs, or ask for a shorter track.",
    )
