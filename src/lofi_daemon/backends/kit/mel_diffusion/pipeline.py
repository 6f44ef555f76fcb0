"""One request from text to sound, stage by stage; usable without the daemon.

pipeline = AceStepPipeline(Path("~/.cache/lofi.nvim/ace-step").expanduser())
clip = pipeline.generate(GenerationRequest("rainy night, rhodes", 30.0, seed=42))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lofi_daemon.backends.kit.mastering import master
from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    CONTEXT_ENCODER,
    DCAE,
    TEXT_ENCODER,
    TRANSFORMER,
    VOCODER,
    Manifest,
    read_manifest,
)
from lofi_daemon.backends.kit.mel_diffusion.context import (
    ContextEncoder,
    LyricIds,
    instrumental_lyric,
)
from lofi_daemon.backends.kit.mel_diffusion.decode import LatentDecoder
from lofi_daemon.backends.kit.mel_diffusion.guidance import (
    Guidance,
    calls_after_iterations,
    guided,
    guided_parts,
)
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, gaussian_noise
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion, diffusion_of
from lofi_daemon.backends.kit.mel_diffusion.residency import Resident
from lofi_daemon.backends.kit.mel_diffusion.schedule import flow_schedule, windowed_schedule
from lofi_daemon.backends.kit.mel_diffusion.solvers import (
    FreshNoise,
    Latents,
    OnIteration,
    solve_adams,
    solve_euler,
    solve_heun,
    solve_pingpong,
)
from lofi_daemon.backends.kit.mel_diffusion.text import WEAKENED, TextEncoder, TokenIds
from lofi_daemon.backends.kit.mel_diffusion.transformer import ContextPair, DiffusionTransformer
from lofi_daemon.backends.protocol import (
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import (
    AudioClip,
    fade_in,
    fade_out,
    join_to_length,
    normalise_peak,
    resample_stream,
)

OUTPUT_SAMPLE_RATE = 48000
END_FADE_SEC = 0.05
PEAK = 0.89

Composer = Callable[[GenerationRequest], LyricIds]


@dataclass(frozen=True)
class ErgSwitches:
    """Which parts of the unconditional pass are weakened; `text` acts only with `lyric`."""

    text: bool = False
    lyric: bool = False
    diffusion: bool = False


NO_ERG = ErgSwitches()
FULL_ERG = ErgSwitches(text=True, lyric=True, diffusion=True)


def ignore_progress(progress: PhaseProgress) -> None:
    """For callers that do not watch."""


class AceStepPipeline:
    """All graphs of one bundle.

    keep_loaded: they are loaded now and stay; otherwise each phase of a request loads its own and
    drops those of the others, which takes less memory and more time.
    compose writes the lyric tokens of a request; by default the instrumental tag. A bundle whose
    manifest asks for a score must be given the composer of that score.
    Raises ModelNotFound and ModelLoadFailed, naming the file.
    """

    def __init__(
        self,
        folder: Path,
        settings: SessionSettings | None = None,
        *,
        compose: Composer | None = None,
        keep_loaded: bool = True,
        cancel: CancelToken | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> None:
        settings = replace(settings or SessionSettings(), arena=False)
        cancel = cancel or CancelToken()
        self.manifest: Manifest = read_manifest(folder)
        if self.manifest.score is not None and compose is None:
            raise ModelLoadFailed(
                f"{folder} needs a composer of the score '{self.manifest.score}'.",
                hint="Use the backend that this bundle belongs to.",
            )
        self._compose: Composer = compose or (lambda request: instrumental_lyric())

        self._keep_loaded = keep_loaded
        self.device: str | None = None  # what the transformer was last loaded on
        self._text_encoder = Resident(lambda: TextEncoder(folder, settings), folder, TEXT_ENCODER)
        self._context_encoder = Resident(
            lambda: ContextEncoder(folder, settings), folder, CONTEXT_ENCODER
        )
        self._transformer = Resident(
            lambda: DiffusionTransformer(folder, settings), folder, TRANSFORMER
        )
        self._decoder = Resident(
            lambda: LatentDecoder(folder, self.manifest, settings),
            folder,
            DCAE,
            VOCODER,
        )
        if keep_loaded:
            self._load_all(on_progress, cancel)

    @property
    def loads_by_phase(self) -> bool:
        """Whether graphs are read from the disk while a track is made."""
        return not self._keep_loaded

    def _load_all(self, on_progress: ProgressCallback, cancel: CancelToken) -> None:
        parts, done = self._parts, 0
        total = sum(part.bytes for part in parts)
        for number, part in enumerate(parts, start=1):
            part.get()
            done += part.bytes
            on_progress(PhaseProgress(Phase.LOADING, number, len(parts), done / total))
            cancel.raise_if_cancelled()
        self.device = self.transformer.device

    @property
    def text_encoder(self) -> TextEncoder:
        return self._text_encoder.get()

    @property
    def context_encoder(self) -> ContextEncoder:
        return self._context_encoder.get()

    @property
    def transformer(self) -> DiffusionTransformer:
        return self._transformer.get()

    @property
    def decoder(self) -> LatentDecoder:
        return self._decoder.get()

    @property
    def can_weaken(self) -> bool:
        """Whether every graph takes the scales that ERG needs."""
        return (
            self.text_encoder.can_weaken
            and self.context_encoder.can_weaken
            and self.transformer.can_weaken
        )

    def generate(
        self,
        request: GenerationRequest,
        *,
        initial_latents: Latents | None = None,
        on_progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> AudioClip:
        """The music of a request: stereo, 48 kHz, exactly as long as asked.

        initial_latents: float32 [1, 8, 16, T] instead of the noise drawn from the seed, T frames
        covering the duration. Raises ModelInferenceFailed, InvalidParams, Cancelled.
        """
        on_progress = on_progress or ignore_progress
        cancel = cancel or CancelToken()
        diffusion = diffusion_of(request, self.manifest)
        if initial_latents is None:
            initial_latents = gaussian_noise(request.seed, 0, frames_for(request.duration_sec))
        contexts = self.encode(request, on_progress, cancel, erg=diffusion.erg)
        latents = self.diffuse(
            diffusion, request.seed, contexts, initial_latents, on_progress, cancel
        )
        return self.decode(latents, request.duration_sec, on_progress, cancel)

    def encode(
        self,
        request: GenerationRequest,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        *,
        erg: bool,
    ) -> ContextPair:
        """Prompt and lyric to the contexts of both passes."""
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._make_room_for(self._text_encoder, self._context_encoder)
        lyric = self._compose(request)
        contexts = self.contexts(
            self.text_encoder.tokenize(request.prompt if lyric.text is None else lyric.text),
            lyric,
            FULL_ERG if erg else NO_ERG,
            cancel,
        )
        on_progress(PhaseProgress(Phase.ENCODING, 1, 1, 1.0))
        return contexts

    def contexts(
        self, tokens: TokenIds, lyric: LyricIds, erg: ErgSwitches, cancel: CancelToken
    ) -> ContextPair:
        """The context encoder's output for tokens and lyric, with and without them."""
        text = self.text_encoder.encode(tokens, cancel)
        conditional = self.context_encoder.conditional(text, lyric, cancel)
        if erg.lyric:
            weak_text = None
            if erg.text:
                weak_text = self.text_encoder.encode(tokens, cancel, query_scale=WEAKENED)
            unconditional = self.context_encoder.weakened(weak_text, text, lyric, cancel)
        else:
            unconditional = self.context_encoder.unconditional(
                text, lyric, cancel, keep_lyric=self.manifest.null_lyric == "keep"
            )
        return ContextPair(conditional, unconditional, weaken_queries=erg.diffusion)

    def diffuse(
        self,
        diffusion: Diffusion,
        seed: int,
        contexts: ContextPair,
        initial_latents: Latents,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        *,
        fresh_noise: FreshNoise | None = None,
    ) -> Latents:
        """From noise to latents, float32 [1, 8, 16, T].

        fresh_noise(step) replaces PingPong's draws from the seed.
        Raises ModelInferenceFailed naming the step where a value is not finite.
        """
        self._make_room_for(self._transformer)
        self.device = self.transformer.device
        guidance, steps = diffusion.guidance, diffusion.steps

        def conditional(latents: Latents, timestep: np.float32) -> Latents:
            return self.transformer.conditional(latents, timestep, contexts, cancel)

        def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
            return self.transformer.both(latents, timestep, contexts, cancel)

        on_iteration = _watch(diffusion.scheduler, steps, guidance, on_progress, cancel)
        omega = self.manifest.defaults.omega
        if diffusion.scheduler == "adams":
            schedule = windowed_schedule(steps, guidance.guided_share)
            parts = guided_parts(conditional, both, guidance, schedule.guided or range(0))
            return solve_adams(parts, initial_latents, schedule, on_iteration, omega)
        velocity = guided(conditional, both, guidance, steps)
        schedule = flow_schedule(steps)
        if diffusion.scheduler == "pingpong":
            frames = initial_latents.shape[-1]

            def drawn_noise(step: int) -> Latents:
                return gaussian_noise(seed, step + 1, frames)

            return solve_pingpong(
                velocity, initial_latents, schedule, on_iteration, fresh_noise or drawn_noise
            )
        solve = solve_heun if diffusion.scheduler == "heun" else solve_euler
        return solve(velocity, initial_latents, schedule, on_iteration, omega)

    def decode(
        self,
        latents: Latents,
        duration_sec: float,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        """Latents to the finished track: trimmed to the duration, levelled, faded at its end."""
        self._make_room_for(self._decoder)
        cost = self.manifest.relative_cost
        after_dcae = cost.dcae / cost.decoding
        after_vocoder = 1.0 - cost.finish / cost.decoding

        def report(fraction: float) -> None:
            on_progress(PhaseProgress(Phase.DECODING, round(100 * fraction), 100, fraction))
            cancel.raise_if_cancelled()

        report(0.0)
        mel = self.decoder.mel(latents, lambda done: report(after_dcae * done), cancel)
        pieces = self.decoder.waveform(
            mel, lambda done: report(after_dcae + (after_vocoder - after_dcae) * done), cancel
        )
        source_rate = self.manifest.vocoder.sample_rate
        samples = join_to_length(
            resample_stream(pieces, source_rate, OUTPUT_SAMPLE_RATE),
            channels=2,
            frames=round(duration_sec * OUTPUT_SAMPLE_RATE),
        )
        mastering = self.manifest.mastering
        if mastering is None:
            normalise_peak(samples, PEAK)
        else:
            master(samples, OUTPUT_SAMPLE_RATE, mastering)
            fade_in(samples, round(mastering.fade_in_sec * OUTPUT_SAMPLE_RATE))
        fade_sec = END_FADE_SEC if mastering is None else mastering.fade_out_sec
        fade_out(samples, round(fade_sec * OUTPUT_SAMPLE_RATE))
        report(1.0)
        return AudioClip(samples, OUTPUT_SAMPLE_RATE)

    @property
    def _parts(self) -> tuple[Resident[Any], ...]:
        return (self._text_encoder, self._context_encoder, self._transformer, self._decoder)

    def _make_room_for(self, *needed: Resident[Any]) -> None:
        """Where memory is short, drop what the coming phase does not need."""
        if not self._keep_loaded:
            for part in self._parts:
                if part not in needed:
                    part.drop()


def _watch(
    scheduler: str,
    steps: int,
    guidance: Guidance,
    on_progress: ProgressCallback,
    cancel: CancelToken,
) -> OnIteration:
    """What happens after every iteration: check, report, stop if asked to."""
    calls_after = calls_after_iterations(scheduler, steps, guidance)
    # The steps of adams are model calls, those of the others their iterations.
    counted = calls_after if scheduler == "adams" else [*range(1, len(calls_after) + 1)]
    total = counted[-1]
    on_progress(PhaseProgress(Phase.DIFFUSING, 0, total, 0.0))

    def on_iteration(iteration: int, latents: Latents) -> None:
        done = counted[iteration]
        if not np.isfinite(latents).all():
            raise ModelInferenceFailed(
                f"Diffusion step {done} of {total} gave NaN or Inf.",
                hint="Try another seed, or a lower guidance scale.",
                step=done,
            )
        fraction = calls_after[iteration] / calls_after[-1]
        on_progress(PhaseProgress(Phase.DIFFUSING, done, total, fraction))
        cancel.raise_if_cancelled()

    return on_iteration
