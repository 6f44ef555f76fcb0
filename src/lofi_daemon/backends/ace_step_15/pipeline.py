"""One piece from text to sound, stage by stage; usable without the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    DECODER,
    SILENCE,
    TEXT_ENCODER,
    TOKEN_EMBEDDINGS,
    TRANSFORMER,
    Manifest,
    read_manifest,
)
from lofi_daemon.backends.ace_step_15.correction import corrected
from lofi_daemon.backends.ace_step_15.decode import LatentDecoder
from lofi_daemon.backends.ace_step_15.editing import (
    Course,
    Edit,
    Repaint,
    hears_source,
    ramp_sec,
    strength_of,
)
from lofi_daemon.backends.ace_step_15.guidance import guided
from lofi_daemon.backends.ace_step_15.latents import Context, Latents, context_of
from lofi_daemon.backends.ace_step_15.loop import Loop, ring_of
from lofi_daemon.backends.ace_step_15.prompt import (
    COVER,
    INSTRUCTION,
    REPAINT,
    caption_text,
    lyric_text,
)
from lofi_daemon.backends.ace_step_15.requests import Piece, piece_of
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from lofi_daemon.backends.ace_step_15.solvers import (
    SOLVERS,
    FreshNoise,
    Levels,
    Run,
    Slopes,
    Velocity,
    handed_over,
    uncorrected,
)
from lofi_daemon.backends.ace_step_15.source import SourceReader, reads_sound, source_itself
from lofi_daemon.backends.ace_step_15.text import ConditionEncoder, Rows
from lofi_daemon.backends.ace_step_15.transformer import DiffusionTransformer
from lofi_daemon.backends.kit.arrays import read_array
from lofi_daemon.backends.kit.editing import LATENTS, splice_of
from lofi_daemon.backends.kit.finish import (
    facts_of_sound,
    finished,
    finished_like,
    finished_whole,
)
from lofi_daemon.backends.kit.noise import gaussian_noise, starting_noise
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.ring import closed
from lofi_daemon.backends.kit.watch import (
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
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip, Samples, join_to_length
from lofi_daemon.sound.stream import Listener, overheard

PEAK = 10.0 ** (-1.0 / 20.0)


@dataclass(frozen=True)
class Told:
    """What the transformer attends to, and what it sees of a source."""

    rows: Rows
    context: Context


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
        self._settings = settings
        self._silence: NDArray[np.float32] = read_array(folder / SILENCE)
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
        task = piece.task
        if task is not None and task.name == "from_audio" and strength_of(task) == 0.0:
            return source_itself(task, piece.duration_sec, self.manifest.audio)
        if piece.loop:
            return self._loop(piece, on_progress, cancel)
        edit = self.read_source(piece, on_progress, cancel)
        rows, rows_alone = self.encode_for(piece, edit, on_progress, cancel)
        latents = self.diffuse(
            piece, rows, self.noise(piece), on_progress, cancel, edit=edit, rows_alone=rows_alone
        )
        rate, splice = self.manifest.audio.sample_rate, None
        if task is not None and isinstance(edit, Repaint):
            splice = splice_of(task, request.duration_sec, rate, ramp_sec(task))
            listener = None  # the level is known at the end
        samples = self.decode(latents, request.made_frames(rate), on_progress, cancel, listener)
        clip = (
            finished(samples, rate, peak=PEAK)
            if splice is None
            else finished_like(samples, rate, splice, peak=PEAK)
        )
        frames_per_sec = rate / self.manifest.audio.samples_per_frame
        led_in = 0 if task is None else task.lead_frames(frames_per_sec)
        return replace(clip, material={LATENTS: latents[:, led_in:].astype(np.float16)})

    def _loop(self, piece: Piece, on_progress: ProgressCallback, cancel: CancelToken) -> AudioClip:
        """A track that ends where it begins. It is not heard before: its end has to be known."""
        audio = self.manifest.audio
        loop = Loop(ring_of(piece.duration_sec, audio))
        noise = self.noise(piece, loop.ring.diffused_frames)
        drawn = loop.fresh_noise(lambda step: gaussian_noise(piece.seed, step + 1, noise.shape))
        rows = self.encode(piece, on_progress, cancel)
        latents = self.diffuse(
            piece, rows, noise, on_progress, cancel, edit=loop, fresh_noise=drawn
        )
        around = loop.unrolled(latents)
        frames = around.shape[1] * audio.samples_per_frame
        samples = self.decode(around, frames, on_progress, cancel)
        clip = finished_whole(samples, audio.sample_rate, peak=PEAK)
        start = loop.ring.context * audio.samples_per_frame
        track = closed(
            samples, audio.sample_rate, start, loop.ring.frames * audio.samples_per_frame
        )
        return replace(clip, samples=track, material={LATENTS: latents.astype(np.float16)})

    def silence(self, frames: int) -> Latents:
        """The latents of that much silence; repeated where it is longer than what is known."""
        return np.resize(self._silence, (frames, self._silence.shape[1]))[None]

    def read_source(
        self, piece: Piece, on_progress: ProgressCallback, cancel: CancelToken
    ) -> Edit | None:
        """What the piece is told of the music that it begins with; None where that is nothing.

        Raises ModelNotFound where the files cannot read sound, AudioPlaybackError.
        """
        task = piece.task
        if task is None or not hears_source(task):
            return None
        self._parts.make_room_for()
        silence = self.silence(self.manifest.audio.track_frames(piece.duration_sec))
        reader = SourceReader(self.folder, self.manifest, self._settings)
        on_progress = part_of(on_progress, 0.0, self._reading_share(piece))
        return reader.edit(task, silence, on_progress, cancel, explicit_mask=piece.explicit_mask)

    def _reading_share(self, piece: Piece) -> float:
        """Of the phase of encoding, the share that goes into reading a sound."""
        cost, audio = self.manifest.relative_cost, self.manifest.audio
        if piece.task is None or not reads_sound(piece.task, audio.channels):
            return 0.0
        reading = cost.reading * audio.track_frames(piece.duration_sec)
        return reading / (reading + cost.encoding)

    def noise(self, piece: Piece, frames: int | None = None) -> Latents:
        """What the run starts from: the seed's noise, some of another seed's mixed in.

        frames: other than the track's.
        """
        audio = self.manifest.audio
        shape = (1, frames or audio.track_frames(piece.duration_sec), audio.channels)
        return starting_noise(piece.seed, shape, piece.variation, piece.variation_seed)

    def encode_for(
        self,
        piece: Piece,
        edit: Edit | None,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> tuple[Rows, Rows | None]:
        """The rows under what is done with a source, and, for a cover, those under nothing."""
        if edit is None:
            return self.encode(piece, on_progress, cancel), None
        on_progress = part_of(on_progress, self._reading_share(piece), 1.0)
        if isinstance(edit, Repaint):
            return self.encode(piece, on_progress, cancel, REPAINT), None
        return (
            self.encode(piece, part_of(on_progress, 0.0, 0.5), cancel, COVER),
            self.encode(piece, part_of(on_progress, 0.5, 1.0), cancel),
        )

    def encode(
        self,
        piece: Piece,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        instruction: str = INSTRUCTION,
    ) -> Rows:
        """Caption and lyrics to the rows that the transformer attends to."""
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._parts.make_room_for(self._encoder)
        rows = self.encoder.encode(
            caption_text(piece.prompt, piece.facts, piece.duration_sec, instruction),
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
        edit: Edit | Loop | None = None,
        rows_alone: Rows | None = None,
        fresh_noise: FreshNoise | None = None,
    ) -> Latents:
        """From noise to latents of the same shape.

        edit: what they begin with; rows_alone: what a cover attends to once it has left its source.
        fresh_noise(step) replaces PingPong's draws from the seed.
        Raises ModelInferenceFailed naming the step where a value is not finite.
        """
        self._parts.make_room_for(self._transformer)
        self.device = self.transformer.device
        shape = noise.shape
        silence = self.silence(shape[1])
        levels = noise_levels(piece.inference_steps, piece.shift)
        course = Course(noise) if edit is None else edit.course(noise, levels)
        renoise_levels = self._renoise_levels(levels)[course.first_step :]
        levels = levels[course.first_step :]
        told = [Told(rows, context_of(silence) if edit is None else edit.context(silence))]
        if course.source_steps is not None:
            told.append(Told(rows if rows_alone is None else rows_alone, context_of(silence)))
        border = levels[-1 if course.source_steps is None else course.source_steps]
        solver, at_zero = SOLVERS[piece.scheduler], not self.manifest.is_turbo
        iterations = range(1, solver.evaluations(len(levels) - 1, at_zero) + 1)
        run = Run(
            start=course.start,
            slopes=self._slopes(piece, told, border, cancel),
            levels=levels,
            renoise_levels=renoise_levels,
            fresh_noise=fresh_noise or (lambda step: gaussian_noise(piece.seed, step + 1, shape)),
            on_iteration=iterations_watched(iterations, iterations, on_progress, cancel),
            correct=corrected if piece.dcw else uncorrected,
            after_step=course.after_step,
            slope_at_zero=at_zero,
        )
        latents = solver.solve(run)
        return latents if edit is None else edit.finished(latents)

    def _slopes(
        self, piece: Piece, told: Sequence[Told], border: np.float32, cancel: CancelToken
    ) -> Slopes:
        """told: what the model is told above the border, and, where it is there, from it on."""

        def slopes(velocity: Callable[[Rows, Context, CancelToken], Velocity]) -> Slopes:
            each = [velocity(one.rows, one.context, cancel) for one in told]
            return handed_over(each[0], each[-1], border)

        conditional = slopes(self.transformer.velocity)
        if piece.guidance_scale == 1.0:
            return conditional
        defaults = self.manifest.defaults
        return guided(
            conditional,
            slopes(self.transformer.without_text),
            piece.guidance_scale,
            (defaults.guidance_from, defaults.guidance_to),
        )

    def decode(
        self,
        latents: Latents,
        frames: int,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> Samples:
        """Latents to float32 [2, frames] as they come out of the decoder, cut to that length.

        The listener hears them as they come.
        """
        self._parts.make_room_for(self._decoder)

        report = percent_of(Phase.DECODING, on_progress, cancel)
        report(0.0)
        pieces = self.decoder.pieces(latents, report, cancel)
        rate = self.manifest.audio.sample_rate
        facts = facts_of_sound(rate, 2, frames, self.decoder.piece_frames(latents))
        return join_to_length(
            overheard(pieces, facts, listener), channels=facts.channels, frames=facts.frames
        )

    def _renoise_levels(self, levels: Levels) -> Levels:
        """The base models' code goes back up along a line that is not shifted."""
        if self.manifest.is_turbo:
            return levels[1:]
        return noise_levels(len(levels) - 1, 1.0)[1:]
