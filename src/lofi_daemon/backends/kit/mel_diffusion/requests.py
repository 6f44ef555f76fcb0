"""What a request means to one bundle: defaults filled in, impossible wishes refused, its cost."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.bundle import Defaults, Manifest, Run
from lofi_daemon.backends.kit.mel_diffusion.editing import strength_of
from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.errors import InvalidParams
from lofi_daemon.files.held import Derived


@dataclass(frozen=True)
class Diffusion:
    """How a request is diffused, with nothing left open."""

    steps: int
    scheduler: str
    guidance: Guidance
    erg: bool


def diffusion_of(
    request: GenerationRequest, manifest: Manifest, defaults: Defaults | None = None
) -> Diffusion:
    """What the request's options say, and for the rest the defaults.

    defaults: what the user configured, where that differs from the manifest's own.
    Raises InvalidParams for options of another kind of model, and when ERG is asked of files that
    cannot do it.
    """
    return _diffusion(request.shared_options(DiffusionOptions), manifest, defaults)


def _diffusion(
    options: DiffusionOptions, manifest: Manifest, defaults: Defaults | None
) -> Diffusion:
    defaults = defaults or manifest.defaults
    if options.erg and not manifest.erg:
        raise InvalidParams(
            "erg: the installed model files cannot weaken the unconditional pass.",
            hint="Leave erg out, or export the model in its native form.",
        )
    scale = options.guidance_scale
    run = _run(options, manifest, defaults)
    return Diffusion(
        steps=run.inference_steps,
        scheduler=run.scheduler,
        guidance=Guidance(
            scale=defaults.guidance_scale if scale is None else scale,
            cfg_type=options.cfg_type or defaults.cfg_type,
            interval=defaults.guidance_interval,
            decay=defaults.guidance_decay,
        ),
        erg=manifest.erg if options.erg is None else options.erg,
    )


def _run(options: DiffusionOptions, manifest: Manifest, defaults: Defaults) -> Run:
    """Solver and steps. What is given goes before the quality, the quality before the defaults."""
    if options.quality is not None:
        meant: Run = getattr(manifest.qualities, options.quality)
    else:
        meant = Run(scheduler=defaults.scheduler, inference_steps=defaults.inference_steps)
    return manifest.qualities.completed(options.scheduler, options.inference_steps, meant)


class Resolver:
    """Fills in the options of requests to one bundle; those that came last are remembered, since
    many requests in a row differ in nothing but words and seed."""

    def __init__(self, manifest: Manifest, defaults: Defaults | None = None) -> None:
        self._manifest = manifest
        self._defaults = defaults
        self._filled = Derived(self._fill)

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        """Raises what `diffusion_of` raises."""
        given = request.shared_options(DiffusionOptions)
        options = self._filled.of(given)
        if given.variation is not None:
            options = options.model_copy(update=given.resolved_variation(request.seed))
        return request.with_options(options)

    def _fill(self, given: DiffusionOptions) -> DiffusionOptions:
        diffusion = _diffusion(given, self._manifest, self._defaults)
        return given.model_copy(
            update={
                "quality": None,
                "inference_steps": diffusion.steps,
                "scheduler": diffusion.scheduler,
                "guidance_scale": diffusion.guidance.scale,
                "cfg_type": diffusion.guidance.cfg_type,
                "erg": diffusion.erg,
                "loop": given.loop or None,
                "variation": None,
                "variation_seed": None,
            }
        )


def expected_seconds(
    request: GenerationRequest, manifest: Manifest, *, reads_sound: bool = False
) -> dict[Phase, float]:
    """The cost of each phase of a resolved request at reference speed: linear in the frames.

    reads_sound: the source is not known by its latents.
    """
    cost = manifest.relative_cost
    frames = frames_for(request.made_sec)
    diffusion = diffusion_of(request, manifest)
    solver = SOLVERS[diffusion.scheduler]
    strength = 1.0 if request.task is None else strength_of(request.task)
    first = solver.first_step(diffusion.steps, diffusion.guidance, strength)
    calls = (solver.calls_after(diffusion.steps, diffusion.guidance, first) or [0])[-1]
    return {
        Phase.ENCODING: cost.encoding + cost.reading * frames * reads_sound,
        Phase.DIFFUSING: cost.model_call * frames * calls,
        Phase.DECODING: cost.decoding * frames,
    }
