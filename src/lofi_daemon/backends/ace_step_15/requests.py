"""What a request means to this model: everything said, defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.backends.ace_step_15.bundle import MAX_TURBO_STEPS, Manifest
from lofi_daemon.backends.ace_step_15.latents import MIN_FRAMES, frames_for
from lofi_daemon.backends.ace_step_15.prompt import INSTRUMENTAL, UNKNOWN_LANGUAGE, Facts
from lofi_daemon.backends.ace_step_15.solvers import evaluations
from lofi_daemon.backends.protocol import Phase
from lofi_daemon.errors import InvalidInferenceSteps, InvalidParams


@dataclass(frozen=True)
class Piece:
    """A piece of music, fully said.

    lyrics: None is instrumental. variation: 0 the track of `seed`, 1 that of variation_seed.
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

    @property
    def lyrics_to_sing(self) -> str:
        return INSTRUMENTAL if self.lyrics is None else self.lyrics


def check_steps(steps: int, manifest: Manifest) -> None:
    """Raises InvalidInferenceSteps beyond what a turbo model was distilled for."""
    if manifest.is_turbo and steps > MAX_TURBO_STEPS:
        raise InvalidInferenceSteps(
            f"inference_steps: ACE-Step 1.5 turbo takes 1 to {MAX_TURBO_STEPS}, not {steps}.",
            hint="8 is what it was made for; more are not better.",
            min=1,
            max=MAX_TURBO_STEPS,
        )


def check_guidance(scale: float | None, manifest: Manifest) -> None:
    """Raises InvalidParams where a turbo model, which has guidance built in, is to be guided."""
    if manifest.is_turbo and scale not in (None, 1.0):
        raise InvalidParams(
            "guidance_scale: the turbo model of ACE-Step 1.5 is not guided.",
            hint="Leave guidance_scale out, or use ACE-Step 1.5 base or sft.",
            parameters=["guidance_scale"],
        )


def frames_of(piece: Piece, manifest: Manifest) -> int:
    """Latent frames that are made; the track is cut to its length afterwards."""
    audio = manifest.audio
    frames = frames_for(piece.duration_sec, audio.sample_rate, audio.samples_per_frame)
    return max(MIN_FRAMES, frames)


def model_calls(piece: Piece, manifest: Manifest) -> int:
    """Runs of the transformer, about two of them where guidance acts."""
    calls = iterations_of(piece, manifest)
    return calls if piece.guidance_scale == 1.0 else 2 * calls


def iterations_of(piece: Piece, manifest: Manifest) -> int:
    return evaluations(piece.scheduler, piece.inference_steps, not manifest.is_turbo)


def expected_seconds(piece: Piece, manifest: Manifest, *, loaded: bool) -> dict[Phase, float]:
    """The cost of each phase at reference speed: linear in the frames."""
    cost, frames = manifest.relative_cost, frames_of(piece, manifest)
    seconds = {} if loaded else {Phase.LOADING: cost.loading}
    return seconds | {
        Phase.ENCODING: cost.encoding,
        Phase.DIFFUSING: cost.model_call * frames * model_calls(piece, manifest),
        Phase.DECODING: cost.decoding * frames,
    }


def default_language(lyrics: str | None, language: str | None) -> str:
    """A language said, for lyrics given; what is sung in none is of none."""
    if lyrics is None or language is None:
        return UNKNOWN_LANGUAGE
    return language
