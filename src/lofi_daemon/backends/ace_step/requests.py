"""What a request means to one bundle: defaults filled in, impossible wishes refused, its cost."""

from __future__ import annotations

from dataclasses import replace

from lofi_daemon.backends.ace_step.bundle import Defaults, Manifest
from lofi_daemon.backends.ace_step.guidance import Guidance, calls_after_iterations
from lofi_daemon.backends.ace_step.latents import frames_for
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.errors import InvalidParams


def resolve(
    request: GenerationRequest, manifest: Manifest, defaults: Defaults | None = None
) -> GenerationRequest:
    """The request with nothing left open.

    defaults: what the user configured, where that differs from the manifest's own.
    Raises InvalidParams when ERG is asked of files that cannot do it.
    """
    defaults = defaults or manifest.defaults
    if request.erg and not manifest.erg:
        raise InvalidParams(
            "erg: the installed model files cannot weaken the unconditional pass.",
            hint="Leave erg out, or export the model in its native form.",
        )
    return replace(
        request,
        inference_steps=request.inference_steps or defaults.inference_steps,
        scheduler=request.scheduler or defaults.scheduler,
        guidance_scale=(
            defaults.guidance_scale if request.guidance_scale is None else request.guidance_scale
        ),
        cfg_type=request.cfg_type or defaults.cfg_type,
        erg=manifest.erg if request.erg is None else request.erg,
    )


def guidance_of(request: GenerationRequest, manifest: Manifest) -> Guidance:
    """The guidance of a resolved request."""
    assert request.guidance_scale is not None
    assert request.cfg_type is not None
    return Guidance(
        scale=request.guidance_scale,
        cfg_type=request.cfg_type,
        interval=manifest.defaults.guidance_interval,
        decay=manifest.defaults.guidance_decay,
    )


def expected_seconds(
    request: GenerationRequest, manifest: Manifest, *, loaded: bool
) -> dict[Phase, float]:
    """The cost of each phase of a resolved request at reference speed: linear in the frames."""
    assert request.inference_steps is not None
    assert request.scheduler is not None
    cost = manifest.relative_cost
    frames = frames_for(request.duration_sec)
    guidance = guidance_of(request, manifest)
    calls = calls_after_iterations(request.scheduler, request.inference_steps, guidance)[-1]
    seconds = {} if loaded else {Phase.LOADING: cost.loading}
    return seconds | {
        Phase.ENCODING: cost.encoding,
        Phase.DIFFUSING: cost.model_call * frames * calls,
        Phase.DECODING: cost.decoding * frames,
    }
