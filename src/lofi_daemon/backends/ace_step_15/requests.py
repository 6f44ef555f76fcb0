"""What a request means to one set of files: everything said, defaults filled in, its cost."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.backends.ace_step_15.bundle import MAX_TURBO_STEPS, Manifest
from lofi_daemon.backends.ace_step_15.editing import strength_of
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.ace_step_15.prompt import INSTRUMENTAL, UNKNOWN_LANGUAGE, Facts
from lofi_daemon.backends.ace_step_15.reading import read_facts
from lofi_daemon.backends.ace_step_15.schedule import nearest_step, noise_levels
from lofi_daemon.backends.ace_step_15.solvers import SOLVERS
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.backends.tasks import Task
from lofi_daemon.errors import InvalidInferenceSteps, InvalidParams


@dataclass(frozen=True)
class Piece:
    """A piece of music, fully said.

    duration_sec: of all that is made, with what leads into the track. lyrics: None is instrumental.
    variation: 0 is the track of `seed`, 1 that of variation_seed. task: what music it begins with;
    explicit_mask: whether the model is told what of it is new. loop: it ends where it begins.
    """

    prompt: str
    duration_sec: float
    seed: int
    facts: Facts
    lyrics: str | None
    language: str
    inference_steps: int
    scheduler: str
    shift: float
    dcw: bool
    guidance_scale: float
    variation: float = 0.0
    variation_seed: int = 0
    task: Task | None = None
    explicit_mask: bool = False
    loop: bool = False

    @property
    def lyrics_to_sing(self) -> str:
        return INSTRUMENTAL if self.lyrics is None else self.lyrics


def piece_of(request: GenerationRequest, manifest: Manifest) -> Piece:
    """The piece that a request asks for.

    What is not said of tempo, key and metre is read from the prompt; the rest has the model's
    defaults. Raises InvalidParams and InvalidInferenceSteps for what this model cannot do.
    """
    options, defaults = request.options_as(AceStep15Options), manifest.defaults
    _check(options, manifest)
    if options.repaint_mask is not None and (
        request.task is None or request.task.name == "from_audio"
    ):
        raise InvalidParams(
            "repaint_mask: only for repaint and extend.",
            hint="Leave repaint_mask out.",
            parameters=["repaint_mask"],
        )
    read = read_facts(request.prompt)
    scale, dcw = options.guidance_scale, options.dcw
    return Piece(
        prompt=request.prompt,
        duration_sec=request.made_sec,
        seed=request.seed,
        facts=Facts(
            bpm=options.bpm or read.bpm,
            key=options.key or read.key,
            time_signature=options.time_signature or read.time_signature,
        ),
        lyrics=options.lyrics,
        language=options.language or UNKNOWN_LANGUAGE,
        inference_steps=options.inference_steps or defaults.inference_steps,
        scheduler=options.scheduler or defaults.scheduler,
        shift=options.shift or defaults.shift,
        dcw=defaults.dcw if dcw is None else dcw,
        guidance_scale=defaults.guidance_scale if scale is None else scale,
        variation=options.variation or 0.0,
        variation_seed=options.varied_to(request.seed),
        task=request.task,
        explicit_mask=options.repaint_mask == "explicit",
        loop=options.loop is True,
    )


def resolve(request: GenerationRequest, manifest: Manifest) -> GenerationRequest:
    """The request with its options filled in. Raises what `piece_of` raises."""
    piece = piece_of(request, manifest)
    given = request.options_as(AceStep15Options)
    options = given.model_copy(
        update={
            "inference_steps": piece.inference_steps,
            "scheduler": piece.scheduler,
            "guidance_scale": None if manifest.is_turbo else piece.guidance_scale,
            "bpm": piece.facts.bpm,
            "key": piece.facts.key,
            "time_signature": piece.facts.time_signature,
            "shift": piece.shift,
            "dcw": piece.dcw,
            "loop": piece.loop or None,
            **given.resolved_variation(request.seed),
        }
    )
    return request.with_options(options)


def iterations_of(piece: Piece, manifest: Manifest) -> int:
    """How often the solver asks for the velocity."""
    steps = piece.inference_steps - skipped_steps(piece)
    return SOLVERS[piece.scheduler].evaluations(steps, not manifest.is_turbo) if steps else 0


def skipped_steps(piece: Piece) -> int:
    """How many steps are not made because the run does not begin with noise alone."""
    task = piece.task
    if task is None or task.name != "from_audio" or strength_of(task) == 1.0:
        return 0
    if strength_of(task) == 0.0:
        return piece.inference_steps
    return nearest_step(noise_levels(piece.inference_steps, piece.shift), strength_of(task))


def model_calls(piece: Piece, manifest: Manifest) -> int:
    """Runs of the transformer: two for every velocity that is guided."""
    calls = iterations_of(piece, manifest)
    return calls if piece.guidance_scale == 1.0 else 2 * calls


def expected_seconds(
    piece: Piece, manifest: Manifest, *, reads_sound: bool = False
) -> dict[Phase, float]:
    """The cost of each phase at reference speed: linear in the frames.

    reads_sound: the source is not known by its latents.
    """
    cost, frames = manifest.relative_cost, manifest.audio.track_frames(piece.duration_sec)
    return {
        Phase.ENCODING: cost.encoding + cost.reading * frames * reads_sound,
        Phase.DIFFUSING: cost.model_call * frames * model_calls(piece, manifest),
        Phase.DECODING: cost.decoding * frames,
    }


def _check(options: AceStep15Options, manifest: Manifest) -> None:
    if options.language is not None and options.lyrics is None:
        raise InvalidParams(
            "language: there are no lyrics to sing.",
            hint="Give lyrics too, or leave the language out.",
            parameters=["language"],
        )
    if not manifest.is_turbo:
        return
    if options.inference_steps is not None and options.inference_steps > MAX_TURBO_STEPS:
        raise InvalidInferenceSteps(
            f"inference_steps: ACE-Step 1.5 turbo takes 1 to {MAX_TURBO_STEPS}, "
            f"not {options.inference_steps}.",
            hint="8 is what it was made for.",
            min=1,
            max=MAX_TURBO_STEPS,
        )
    if options.guidance_scale not in (None, 1.0):
        raise InvalidParams(
            "guidance_scale: the turbo model of ACE-Step 1.5 is not guided.",
            hint="Leave guidance_scale out.",
            parameters=["guidance_scale"],
        )
