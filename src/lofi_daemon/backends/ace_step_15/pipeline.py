"""One piece from text to sound, stage by stage; usable without the daemon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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
from lofi_daemon.backends.ace_step_15.latents import Latents, gaussian_noise, mixed_noise
from lofi_daemon.backends.ace_step_15.prompt import caption_text, lyric_text
from lofi_daemon.backends.ace_step_15.requests import Piece, frames_of, iterations_of
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from lofi_daemon.backends.ace_step_15.solvers import (
    SOLVERS,
    FreshNoise,
    Levels,
    OnIteration,
    Run,
    uncorrected,
)
from lofi_daemon.backends.ace_step_15.text import ConditionEncoder, Rows
from lofi_daemon.backends.ace_step_15.transformer import Context, DiffusionTransformer
from lofi_daemon.backends.kit.mel_diffusion.residency import Resident
from lofi_daemon.backends.protocol import Phase, PhaseProgress, ProgressCallback
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip, Samples, fade_out, join_to_length, normalise_peak

PEAK = 10.0 ** (-1.0 / 20.0)
END_FADE_SEC = 0.05


def ignore_progress(progress: PhaseProgress) -> None:
    """For callers that do not watch."""


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
        self.manifest: Manifest = read_manifest(folder)
        self._keep_loaded = keep_loaded
        self.device: str | None = None  # what the transformer was last loaded on
        self._encoder = Resident(
            lambda: ConditionEncoder(folder, settings),
            folder,
            TOKEN_EMBEDDINGS,
            TEXT_ENCODER,
            CONDITION_ENCODER,
        )
        self._transformer = Resident(
            lambda: DiffusionTransformer(folder, settings), folder, TRANSFORMER
        )
        self._decoder = Resident(
            lambda: LatentDecoder(folder, self.manifest.audio, settings), folder, DECODER
        )
        if keep_loaded:
            self._load_all(on_progress, cancel or CancelToken())

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
        piece: Piece,
        *,
        on_progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> AudioClip:
        """The music of a piece: stereo, exactly as long as asked.

        Raises ModelInferenceFailed, Cancelled.
        """
        cancel = cancel or CancelToken()
        rows = self.encode(piece, on_progress, cancel)
        latents = self.diffuse(piece, rows, self.noise(piece), on_progress, cancel)
        samples = self.decode(latents, piece.duration_sec, on_progress, cancel)
        rate = self.manifest.audio.sample_rate
        normalise_peak(samples, PEAK)
        fade_out(samples, round(END_FADE_SEC * rate))
        return AudioClip(samples, rate)

    def noise(self, piece: Piece) -> Latents:
        """What the run starts from: the seed's noise, some of another seed's mixed in."""
        frames, channels = frames_of(piece, self.manifest), self.manifest.audio.channels
        noise = gaussian_noise(piece.seed, 0, frames, channels)
        if piece.variation == 0.0:
            return noise
        other = gaussian_noise(piece.variation_seed, 0, frames, channels)
        return mixed_noise(noise, other, piece.variation)

    def encode(self, piece: Piece, on_progress: ProgressCallback, cancel: CancelToken) -> Rows:
        """Caption and lyrics to the rows that the transformer attends to."""
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._make_room_for(self._encoder)
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
        self._make_room_for(self._transformer)
        self.device = self.transformer.device
        frames, channels = noise.shape[1:]
        if context is None:
            context = self.transformer.empty_context(frames)
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

        def drawn_noise(step: int) -> Latents:
            return gaussian_noise(piece.seed, step + 1, frames, channels)

        levels = noise_levels(piece.inference_steps, piece.shift)
        run = Run(
            velocity=velocity,
            velocity_ahead=ahead,
            levels=levels,
            renoise_levels=self._renoise_levels(levels),
            fresh_noise=fresh_noise or drawn_noise,
            on_iteration=_watch(iterations_of(piece, self.manifest), on_progress, cancel),
            correct=corrected if piece.dcw else uncorrected,
            slope_at_zero=not self.manifest.is_turbo,
        )
        return SOLVERS[piece.scheduler](noise, run)

    def decode(
        self,
        latents: Latents,
        duration_sec: float,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> Samples:
        """Latents to float32 [2, frames] as they come out of the decoder, cut to the duration."""
        self._make_room_for(self._decoder)

        def report(fraction: float) -> None:
            on_progress(PhaseProgress(Phase.DECODING, round(100 * fraction), 100, fraction))
            cancel.raise_if_cancelled()

        report(0.0)
        pieces = self.decoder.pieces(latents, report, cancel)
        frames = round(duration_sec * self.manifest.audio.sample_rate)
        return join_to_length(pieces, channels=2, frames=frames)

    def _renoise_levels(self, levels: Levels) -> Levels:
        """The base models' code goes back up along a line that is not shifted."""
        if self.manifest.is_turbo:
            return levels[1:]
        return noise_levels(len(levels) - 1, 1.0)[1:]

    @property
    def _parts(self) -> tuple[Resident[Any], ...]:
        return (self._encoder, self._transformer, self._decoder)

    def _make_room_for(self, needed: Resident[Any]) -> None:
        """Where memory is short, drop what the coming phase does not need."""
        if not self._keep_loaded:
            for part in self._parts:
                if part is not needed:
                    part.drop()


def _watch(total: int, on_progress: ProgressCallback, cancel: CancelToken) -> OnIteration:
    """What happens after every velocity: check, report, stop if asked to."""
    on_progress(PhaseProgress(Phase.DIFFUSING, 0, total, 0.0))

    def on_iteration(iteration: int, latents: Latents) -> None:
        done = iteration + 1
        if not np.isfinite(latents).all():
            raise ModelInferenceFailed(
                f"Diffusion step {done} of {total} gave NaN or Inf.", step=done
            )
        on_progress(PhaseProgress(Phase.DIFFUSING, done, total, done / total))
        cancel.raise_if_cancelled()

    return on_iteration
