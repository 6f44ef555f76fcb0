"""One request from text to sound, stage by stage; usable without the daemon.

pipeline = AceStepPipeline(Path("~/.cache/lofi.nvim/ace-step").expanduser())
clip = pipeline.generate(GenerationRequest("rainy night, rhodes", 30.0, seed=42))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.editing import LATENTS, splice_of
from lofi_daemon.backends.kit.finish import (
    facts_of_sound,
    finished,
    finished_like,
    finished_whole,
)
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
from lofi_daemon.backends.kit.mel_diffusion.editing import (
    FRAMES_PER_SEC,
    OUTPUT_SAMPLE_RATE,
    RAMP_SEC,
    SCORE,
    Kept,
    hears_source,
    kept_of,
    strength_of,
)
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.loop import ring_of, seconds_of
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion, diffusion_of
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS, Run
from lofi_daemon.backends.kit.mel_diffusion.solvers import (
    AfterStep,
    FreshNoise,
    Latents,
    unchanged,
)
from lofi_daemon.backends.kit.mel_diffusion.source import (
    reads_sound,
    source_itself,
    source_latents,
)
from lofi_daemon.backends.kit.mel_diffusion.text import WEAKENED, TextEncoder, TokenIds
from lofi_daemon.backends.kit.mel_diffusion.transformer import ContextPair, DiffusionTransformer
from lofi_daemon.backends.kit.noise import gaussian_noise, starting_noise
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.ring import Ring, closed
from lofi_daemon.backends.kit.splice import Splice
from lofi_daemon.backends.kit.watch import (
    OnIteration,
    ignore_progress,
    iterations_watched,
    part_of,
    percent_of,
)
from lofi_daemon.backends.protocol import (
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip, join_to_length, resample_stream
from lofi_daemon.sound.material import Material
from lofi_daemon.sound.stream import Listener, overheard

Composer = Callable[[GenerationRequest], LyricIds]


@dataclass(frozen=True)
class ErgSwitches:
    """Which parts of the unconditional pass are weakened; `text` acts only with `lyric`."""

    text: bool = False
    lyric: bool = False
    diffusion: bool = False


# Of a run that holds on to a source: no mean shift, as in the original.
PLAIN_OMEGA = 0.0
NO_ERG = ErgSwitches()
FULL_ERG = ErgSwitches(text=True, lyric=True, diffusion=True)


class AceStepPipeline:
    """All graphs of one bundle.

    keep_loaded: they are loaded now and stay; otherwise each phase of a request loads its own and
    drops those of the others, which takes less memory and more time.
    compose writes the score of a request as lyric tokens: a bundle whose manifest asks for a score
    must be given its composer. sing writes them where none is composed; by default the
    instrumental tag.
    Raises ModelNotFound and ModelLoadFailed, naming the file.
    """

    def __init__(
        self,
        folder: Path,
        settings: SessionSettings | None = None,
        *,
        compose: Composer | None = None,
        sing: Composer | None = None,
        keep_loaded: bool = True,
        cancel: CancelToken | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> None:
        settings = replace(settings or SessionSettings(), arena=False)
        self._folder, self._settings = folder, settings
        cancel = cancel or CancelToken()
        manifest = read_manifest(folder)
        self.manifest: Manifest = manifest
        if self.manifest.score is not None and compose is None:
            raise ModelLoadFailed(
                f"{folder} needs a composer of the score '{self.manifest.score}'.",
                hint="Use the backend that this bundle belongs to.",
            )
        self._compose: Composer = compose or sing or (lambda request: instrumental_lyric())

        self.device: str | None = None  # what the transformer was last loaded on
        self._parts = parts = Residents(folder, keep=keep_loaded)
        self._text_encoder = parts.add(lambda: TextEncoder(folder, settings), TEXT_ENCODER)
        self._context_encoder = parts.add(lambda: ContextEncoder(folder, settings), CONTEXT_ENCODER)
        self._transformer = parts.add(lambda: DiffusionTransformer(folder, settings), TRANSFORMER)
        self._decoder = parts.add(lambda: LatentDecoder(folder, manifest, settings), DCAE, VOCODER)
        if keep_loaded:
            parts.load_all(on_progress, cancel)
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
        listener: Listener | None = None,
    ) -> AudioClip:
        """The music of a request: stereo, 48 kHz, exactly as long as asked.

        initial_latents: float32 [1, 8, 16, T] instead of the noise drawn from the seed, T frames
        covering the duration. Raises ModelInferenceFailed, InvalidParams, Cancelled.
        """
        on_progress = on_progress or ignore_progress
        cancel = cancel or CancelToken()
        task = request.task
        if task is not None and task.name == "from_audio" and strength_of(task) == 0.0:
            return source_itself(task, request.duration_sec)
        diffusion = diffusion_of(request, self.manifest)
        options = request.shared_options(DiffusionOptions)
        frames = frames_for(request.made_sec)
        ring = ring_of(frames) if options.loop else None
        if initial_latents is None:
            shape = latents_shape(frames if ring is None else ring.diffused_frames)
            initial_latents = starting_noise(
                request.seed, shape, options.variation or 0.0, options.varied_to(request.seed)
            )
        after_step, fresh_noise, kept = unchanged, None, None
        reading = self._reading_share(request)
        if ring is not None:
            initial_latents = ring.tied(initial_latents)
            after_step, fresh_noise = _made_one(ring), _tied_noise(request.seed, ring)
        elif task is not None and hears_source(task):
            self._parts.make_room_for()
            source = source_latents(
                task,
                self._folder,
                self.manifest,
                self._settings,
                part_of(on_progress, 0.0, reading),
                cancel,
            )
            kept = kept_of(task, source, initial_latents.shape[-1])
        lyric = self._compose(request)
        contexts = self.encode(
            request, part_of(on_progress, reading, 1.0), cancel, erg=diffusion.erg, lyric=lyric
        )
        latents = self.diffuse(
            diffusion,
            request.seed,
            contexts,
            initial_latents,
            on_progress,
            cancel,
            fresh_noise=fresh_noise,
            after_step=after_step,
            kept=kept,
        )
        if ring is not None:
            latents = ring.of(latents)
        splice = None
        if task is not None and task.name != "from_audio":
            splice = splice_of(task, request.duration_sec, OUTPUT_SAMPLE_RATE, RAMP_SEC)
        clip = self.decode(
            latents,
            request.made_frames(OUTPUT_SAMPLE_RATE),
            on_progress,
            cancel,
            listener,
            splice=splice,
            ring=ring,
        )
        led_in = 0 if task is None else task.lead_frames(FRAMES_PER_SEC)
        return replace(clip, material=self._material(latents[..., led_in:], lyric))

    def _reading_share(self, request: GenerationRequest) -> float:
        """Of the phase of encoding, the share that goes into reading a sound."""
        if request.task is None or not reads_sound(request.task):
            return 0.0
        cost = self.manifest.relative_cost
        reading = cost.reading * frames_for(request.made_sec)
        return reading / (reading + cost.encoding)

    def _material(self, latents: Latents, lyric: LyricIds) -> Material:
        """What is kept beside the track for those who go on from it."""
        kept = {LATENTS: latents.astype(np.float16)}
        score = lyric.ids if lyric.score is None else lyric.score
        return kept if self.manifest.score is None else {**kept, SCORE: score}

    def encode(
        self,
        request: GenerationRequest,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        *,
        erg: bool,
        lyric: LyricIds | None = None,
    ) -> ContextPair:
        """Prompt and lyric to the contexts of both passes; lyric: the composer's for the request,
        where it is known."""
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._parts.make_room_for(self._text_encoder, self._context_encoder)
        lyric = lyric or self._compose(request)
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
        after_step: AfterStep = unchanged,
        kept: Kept | None = None,
    ) -> Latents:
        """From noise to latents, float32 [1, 8, 16, T].

        fresh_noise(step) replaces PingPong's draws from the seed. kept: the music that it goes on
        from, in after_step's place.
        Raises ModelInferenceFailed naming the step where a value is not finite.
        """
        self._parts.make_room_for(self._transformer)
        self.device = self.transformer.device
        shape = initial_latents.shape
        solver = SOLVERS[diffusion.scheduler]
        start, omega, first = initial_latents, self.manifest.defaults.omega, 0
        if kept is not None:
            schedule = solver.schedule(diffusion.steps, diffusion.guidance)
            first = solver.first_step(diffusion.steps, diffusion.guidance, kept.strength)
            start = kept.noisy(initial_latents, schedule.sigmas[first])
            after_step = kept.put_back(initial_latents)
            omega = PLAIN_OMEGA if kept.holds_on else omega
            if first == schedule.steps:
                return start

        def conditional(latents: Latents, timestep: np.float32) -> Latents:
            return self.transformer.conditional(latents, timestep, contexts, cancel)

        def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
            return self.transformer.both(latents, timestep, contexts, cancel)

        run = Run(
            start=start,
            steps=diffusion.steps,
            guidance=diffusion.guidance,
            conditional=conditional,
            both=both,
            fresh_noise=fresh_noise or (lambda step: gaussian_noise(seed, step + 1, shape)),
            on_iteration=self._watched(diffusion, first, on_progress, cancel),
            omega=omega,
            after_step=after_step,
            first=first,
        )
        return solver.solve(run)

    def _watched(
        self, diffusion: Diffusion, first: int, on_progress: ProgressCallback, cancel: CancelToken
    ) -> OnIteration:
        """For a run that begins at step `first`."""
        solver = SOLVERS[diffusion.scheduler]
        calls = solver.calls_after(diffusion.steps, diffusion.guidance, first)
        watch = iterations_watched(
            calls if solver.steps_are_calls else [*range(1, len(calls) + 1)],
            calls,
            on_progress,
            cancel,
            hint="Try another seed, or a lower guidance scale.",
        )
        before = solver.evaluations_a_step * first
        return lambda iteration, latents: watch(iteration - before, latents)

    def decode(
        self,
        latents: Latents,
        frames: int,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
        *,
        splice: Splice | None = None,
        ring: Ring | None = None,
    ) -> AudioClip:
        """Latents to the finished track: trimmed to so many samples, levelled, faded at its end.

        splice: the music that it goes on from. ring: it ends where it begins, and fades nowhere.
        The listener hears it before it is levelled, but nothing of these two: there the level, or
        the beginning, is known at the end.
        """
        self._parts.make_room_for(self._decoder)
        cost = self.manifest.relative_cost
        after_dcae = cost.dcae / cost.decoding
        after_vocoder = 1.0 - cost.finish / cost.decoding

        report = percent_of(Phase.DECODING, on_progress, cancel)
        report(0.0)
        decoded_frames = frames
        if ring is not None:
            latents = ring.unrolled(latents)
            decoded_frames = round(seconds_of(latents.shape[-1]) * OUTPUT_SAMPLE_RATE)
        mel = self.decoder.mel(latents, lambda done: report(after_dcae * done), cancel)
        pieces = self.decoder.waveform(
            mel, lambda done: report(after_dcae + (after_vocoder - after_dcae) * done), cancel
        )
        source_rate = self.manifest.vocoder.sample_rate
        mastering = self.manifest.mastering
        lengths = [
            frames * OUTPUT_SAMPLE_RATE // source_rate for frames in self.decoder.pieces(mel)
        ]
        facts = facts_of_sound(
            OUTPUT_SAMPLE_RATE,
            2,
            decoded_frames,
            lengths,
            mastering,
            outline=self.decoder.outline(mel),
        )
        stream = overheard(
            resample_stream(pieces, source_rate, OUTPUT_SAMPLE_RATE),
            facts,
            listener if splice is None and ring is None else None,
        )
        samples = join_to_length(stream, channels=facts.channels, frames=facts.frames)
        if ring is not None:
            clip = finished_whole(samples, OUTPUT_SAMPLE_RATE, mastering)
            start = round(seconds_of(ring.context) * OUTPUT_SAMPLE_RATE)
            clip = replace(clip, samples=closed(samples, OUTPUT_SAMPLE_RATE, start, frames))
        elif splice is None:
            clip = finished(samples, OUTPUT_SAMPLE_RATE, mastering)
        else:
            clip = finished_like(samples, OUTPUT_SAMPLE_RATE, splice, mastering)
        report(1.0)
        return clip


def _made_one(ring: Ring) -> AfterStep:
    return lambda latents, sigma: ring.made_one(latents)


def _tied_noise(seed: int, ring: Ring) -> FreshNoise:
    """What PingPong draws for a ring."""
    shape = latents_shape(ring.diffused_frames)
    return lambda step: ring.tied(gaussian_noise(seed, step + 1, shape))
