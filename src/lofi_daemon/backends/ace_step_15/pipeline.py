"""One piece from text to sound, stage by stage; usable without the daemon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    DECODER,
    TEXT_ENCODER,
    TOKEN_EMBEDDINGS,
    TRANSFORMER,
    Manifest,
    read_manifest,
)
from lofi_daemon.backends.ace_step_15.correction import corrected
from lofi_daemon.backends.ace_step_15.decode import LatentDecoder
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.ace_step_15.prompt import caption_text, lyric_text
from lofi_daemon.backends.ace_step_15.requests import Piece, iterations_of, piece_of
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from lofi_daemon.backends.ace_step_15.solvers import (
    SOLVERS,
    FreshNoise,
    Levels,
    Run,
    uncorrected,
)
from lofi_daemon.backends.ace_step_15.text import ConditionEncoder, Rows
from lofi_daemon.backends.ace_step_15.transformer import Context, DiffusionTransformer
from lofi_daemon.backends.kit.finish import facts_of_sound, finished
from lofi_daemon.backends.kit.noise import gaussian_noise, starting_noise
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.watch import ignore_progress, iterations_watched, percent_of
from lofi_daemon.backends.protocol import (
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip, Samples, join_to_length
from lofi_daemon.sound.stream import Listener, overheard

PEAK = 10.0 ** (-1.0 / 20.0)


class AceStep15Pipeline:
    """All graphs of one set of files.

    keep_loaded: they are loaded now and stay; otherwise each phase of a piece loads its own and
    drops those of the others. Raises ModelNotFound and ModelLoadFailed, naming the file.
    """

    def __init__(
        self,
        folder: Path,
        settings: SessionSettings | None = None,
        *,
        keep_loaded: bool = True,
        cancel: CancelToken | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> None:
        settings = replace(settings or SessionSettings(), arena=False)
        self.folder = folder
        manifest = read_manifest(folder)
        self.manifest: Manifest = manifest
        self.device: str | None = None  # what the transformer was last loaded on
        self._parts = parts = Residents(folder, keep=keep_loaded)
        self._encoder = parts.add(
            lambda: ConditionEncoder(folder, settings),
            TOKEN_EMBEDDINGS,
            TEXT_ENCODER,
            CONDITION_ENCODER,
        )
        self._transformer = parts.add(lambda: DiffusionTransformer(folder, settings), TRANSFORMER)
        self._decoder = parts.add(lambda: LatentDecoder(folder, manifest.audio, settings), DECODER)
        if keep_loaded:
            parts.load_all(on_progress, cancel or CancelToken())
            self.device = self.transformer.device

    @property
    def encoder(self) -> ConditionEncoder:
        return self._encoder.get()

    @property
    def transformer(self) -> DiffusionTransformer:
        return self._transformer.get()

    @property
    def decoder(self) -> LatentDecoder:
        return self._decoder.get()

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
        listener: Listener | None = None,
    ) -> AudioClip:
        """The music of a request: stereo, exactly as long as asked.

        Raises ModelInferenceFailed, InvalidParams, Cancelled.
        """
        cancel = cancel or CancelToken()
        piece = piece_of(request, self.manifest)
        rows = self.encode(piece, on_progress, cancel)
        latents = self.diffuse(piece, rows, self.noise(piece), on_progress, cancel)
        samples = self.decode(latents, piece.duration_sec, on_progress, cancel, listener)
        return finished(samples, self.manifest.audio.sample_rate, peak=PEAK)

    def noise(self, piece: Piece) -> Latents:
        """What the run starts from: the seed's noise, some of another seed's mixed in."""
        audio = self.manifest.audio
        shape = (1, audio.track_frames(piece.duration_sec), audio.channels)
        return starting_noise(piece.seed, shape, piece.variation, piece.variation_seed)

    def encode(self, piece: Piece, on_progress: ProgressCallback, cancel: CancelToken) -> Rows:
        """Caption and lyrics to the rows that the transformer attends to."""
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._parts.make_room_for(self._encoder)
        rows = self.encoder.encode(
            caption_text(piece.prompt, piece.facts, piece.duration_sec),
            lyric_text(piece.lyrics_to_sing, piece.language),
            cancel,
        )
        on_progress(PhaseProgress(Phase.ENCODING, 1, 1, 1.0))
        return rows

    def diffuse(
        self,
        piece: Piece,
        rows: Rows,
        noise: Latents,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        *,
        context: Context | None = None,
        fresh_noise: FreshNoise | None = None,
    ) -> Latents:
        """From noise to latents of the same shape.

        context: None is silence; fresh_noise(step) replaces PingPong's draws from the seed.
        Raises ModelInferenceFailed naming the step where a value is not finite.
        """
        self._parts.make_room_for(self._transformer)
        self.device = self.transformer.device
        shape = noise.shape
        if context is None:
            context = self.transformer.empty_context(shape[1])
        defaults = self.manifest.defaults
        if piece.guidance_scale == 1.0:
            velocity = ahead = self.transformer.velocity(rows, context, cancel)
        else:
            velocity, ahead = self.transformer.guided(
                rows,
                context,
                cancel,
                scale=piece.guidance_scale,
                levels=(defaults.guidance_from, defaults.guidance_to),
            )

        iterations = range(1, iterations_of(piece, self.manifest) + 1)
        levels = noise_levels(piece.inference_steps, piece.shift)
        run = Run(
            noise=noise,
            velocity=velocity,
            velocity_ahead=ahead,
            levels=levels,
            renoise_levels=self._renoise_levels(levels),
            fresh_noise=fresh_noise or (lambda step: gaussian_noise(piece.seed, step + 1, shape)),
            on_iteration=iterations_watched(iterations, iterations, on_progress, cancel),
            correct=corrected if piece.dcw else uncorrected,
            slope_at_zero=not self.manifest.is_turbo,
        )
        return SOLVERS[piece.scheduler].solve(run)

    def decode(
        self,
        latents: Latents,
        duration_sec: float,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> Samples:
        """Latents to float32 [2, frames] as they come out of the decoder, cut to the duration.

        The listener hears them as they come.
        """
        self._parts.make_room_for(self._decoder)

        report = percent_of(Phase.DECODING, on_progress, cancel)
        report(0.0)
        pieces = self.decoder.pieces(latents, report, cancel)
        rate = self.manifest.audio.sample_rate
        frames = round(duration_sec * rate)
        facts = facts_of_sound(rate, 2, frames, self.decoder.piece_frames(latents))
        return join_to_length(
            overheard(pieces, facts, listener), channels=facts.channels, frames=facts.frames
        )

    def _renoise_levels(self, levels: Levels) -> Levels:
        """The base models' code goes back up along a line that is not shifted."""
        if self.manifest.is_turbo:
            return levels[1:]
        return noise_levels(len(levels) - 1, 1.0)[1:]
