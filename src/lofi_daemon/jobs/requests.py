"""What was asked for, as a backend will carry it out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.options import given_options
from lofi_daemon.backends.protocol import Backend, GenerationRequest, Phase, Terms, parse_options
from lofi_daemon.backends.registry import Choice, Registry
from lofi_daemon.jobs.tasks import Origin, raise_if_it_cannot
from lofi_daemon.parameters import TrackParameters
from lofi_daemon.tracks import Recipe

_WRITING_SEC_PER_TRACK_SEC = 0.006


@dataclass(frozen=True)
class Resolved:
    """A request that leaves nothing open, and who carries it out."""

    backend: Backend
    recipe: Recipe

    def workload(self) -> dict[Phase, float]:
        """Expected seconds of each phase at reference speed. Raises what the backend raises."""
        request = self.recipe.request
        writing = request.duration_sec * _WRITING_SEC_PER_TRACK_SEC
        return {Phase.WRITING: writing, **self.backend.workload(request)}


def resolve(
    registry: Registry, parameters: TrackParameters, origin: Origin | None = None
) -> Resolved:
    """Choose the backend, fill in its defaults, draw a seed; raises what is wrong with it.

    origin: what the track begins with. Raises InvalidBackend, BackendNotInstalled, ModelLoadFailed,
    InvalidDuration, InvalidParams.
    """
    choice = registry.choose(parameters.backend)
    if origin is not None:
        raise_if_it_cannot(registry, choice.backend.info, origin)
    return resolve_for(choice, parameters, origin)


def resolve_for(
    choice: Choice,
    parameters: TrackParameters,
    origin: Origin | None = None,
    *,
    seed: int | None = None,
    terms: Terms | None = None,
) -> Resolved:
    """As `resolve`, for a backend that was asked already.

    seed: goes before that of the parameters. terms: what the backend said of its model, where it
    was asked that already, too.
    """
    backend = choice.backend
    check_duration(backend.info, parameters.duration_sec)
    choice.raise_if_unusable()
    seed = parameters.seed if seed is None else seed
    if seed is None:  # 32 bits: easily typed again, and exact in every client's numbers
        seed = secrets.randbits(32)
    options = parse_options(backend.info.options, given_options(parameters), backend.info.name)
    request = backend.resolve(
        GenerationRequest(
            parameters.prompt,
            parameters.duration_sec,
            seed,
            options,
            task=None if origin is None else origin.task,
            parent=None if origin is None else origin.parent,
        ),
        terms,
    )
    return Resolved(backend, Recipe(backend.info.type, choice.availability.model_version, request))
