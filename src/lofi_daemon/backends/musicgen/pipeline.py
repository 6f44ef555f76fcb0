"""One request from text to sound, stage by stage; usable without the daemon.

pipeline = MusicGenPipeline(Path("~/.cache/lofi.nvim/musicgen").expanduser())
clip = pipeline.generate(GenerationRequest("rainy night, rhodes", 30.0, seed=42))
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.kit.finish import facts_of_sound, finished, finished_like
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.splice import Splice
from lofi_daemon.backends.kit.watch import ignore_progress, part_of, percent_of
from lofi_daemon.backends.musicgen.bundle import read_config, read_manifest
from lofi_daemon.backends.musicgen.codec import EncodecDecoder
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder, TokenDecoder
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.backends.musicgen.editing import (
    beginning_of,
    hears_source,
    is_the_source,
    material_of,
    reads_sound,
    source_itself,
    splice_for,
)
from lofi_daemon.backends.musicgen.text import TextEncoder, TextStates
from lofi_daemon.backends.musicgen.tokens import Sampling, generate_tokens
from lofi_daemon.backends.protocol import (
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip, join_to_length
from lofi_daemon.sound.stream import Listener, overheard

# Of the phase of encoding, where a sound has to be read: the text is short beside it.
READING_SHARE = 0.9


class MusicGenPipeline:
    """All graphs of one model, in the form in which they lie in the folder.

    keep_loaded: they are loaded now and stay; otherwise each phase of a request loads its own and
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
        settings = settings or SessionSettings()
        native = read_manifest(folder).form == "native"
        if native:
            settings = replace(settings, device="cpu")
        self.config = config = read_config(folder)
        self.device: str | None = None  # what the decoder was last loaded on
        # Called once a track: what they need for a call is not kept for the next.
        once = replace(settings, arena=False)
        self._folder, self._once = folder, once

        def load_decoder() -> TokenDecoder:
            if native:
                return NativeDecoder(folder, config.decoder, settings)
            return PublishedDecoder(folder, config.decoder, settings)

        self._parts = parts = Residents(folder, keep=keep_loaded)
        self._text_encoder = parts.add(lambda: TextEncoder(folder, once), "text_encoder")
        self._decoder = parts.add(load_decoder, "decoder", "cross_attention")
        self._codec = parts.add(lambda: EncodecDecoder(folder, config, once), "encodec_decode")
        if keep_loaded:
            parts.load_all(on_progress, cancel or CancelToken())
            self.device = self.decoder.device

    @property
    def text_encoder(self) -> TextEncoder:
        return self._text_encoder.get()

    @property
    def decoder(self) -> TokenDecoder:
        return self._decoder.get()

    @property
    def codec(self) -> EncodecDecoder:
        return self._codec.get()

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
        listener: Listener | None = None,
    ) -> AudioClip:
        """The music of a request, exactly as long as asked, at the codec's rate and channels.

        Raises ModelInferenceFailed, Cancelled.
        """
        cancel = cancel or CancelToken()
        task, splice = request.task, None
        if task is not None and is_the_source(task):
            return source_itself(task, request.duration_sec, self.config)
        beginning: Codes | None = None
        encoding = on_progress
        if task is not None and hears_source(task, self.config.audio_encoder.frame_rate):
            splice = splice_for(task, request.duration_sec, self.config)
            share = READING_SHARE if reads_sound(task, self.config) else 0.0
            encoding = part_of(on_progress, share, 1.0)
            self._parts.make_room_for()
            reading = part_of(on_progress, 0.0, share)
            beginning = beginning_of(task, self._folder, self.config, self._once, reading, cancel)
        encoding(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._parts.make_room_for(self._text_encoder)
        text = self.text_encoder.encode(self.text_encoder.tokenize(request.prompt), cancel)
        encoding(PhaseProgress(Phase.ENCODING, 1, 1, 1.0))
        made: list[Codes] = []
        with closing(self.tokens(request, text, on_progress, cancel, beginning)) as tokens:
            # Where both are in memory, what is there is decoded while more is drawn.
            codes = _noted(tokens, made) if self._parts.keep else list(_noted(tokens, made))
            clip = self.decode(codes, request.duration_sec, on_progress, cancel, listener, splice)
        return replace(clip, material=material_of(np.concatenate(made, axis=1)))

    def tokens(
        self,
        request: GenerationRequest,
        text: TextStates,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        beginning: Codes | None = None,
    ) -> Generator[Codes]:
        """Text states to codes, int64 [K, 1], frame after frame.

        beginning: those that they go on from, int64 [K, P], which come first.
        """
        self._parts.make_room_for(self._decoder)
        self.device = self.decoder.device
        rate = self.config.audio_encoder.frame_rate
        total = frames_for(request.duration_sec, rate)
        known = 0 if beginning is None else beginning.shape[1]
        windows = stretches(total, rate, known)
        total_cost = expected_cost(windows, total)

        def on_frame(done: int) -> None:
            fraction = expected_cost(windows, known + done) / total_cost
            on_progress(PhaseProgress(Phase.DECODING_TOKENS, done, total - known, fraction))
            cancel.raise_if_cancelled()

        on_frame(0)
        tokens = generate_tokens(
            self.decoder,
            self.config.decoder,
            text,
            windows,
            Sampling(request.seed),
            cancel,
            beginning,
        )
        if beginning is not None:
            yield beginning
        for done, codes in enumerate(tokens, start=1):
            on_frame(done)
            yield codes

    def decode(
        self,
        codes: Iterable[Codes],
        duration_sec: float,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
        splice: Splice | None = None,
    ) -> AudioClip:
        """Codes, as they come, to the finished track: cut to the duration, levelled, faded at its
        end.

        splice: the music that it goes on from. The listener hears it before it is levelled, but
        nothing of such a track: its level is known at the end.
        """
        self._parts.make_room_for(self._codec)
        on_window = percent_of(Phase.DECODING, on_progress, cancel)
        rate = self.config.audio_encoder.sampling_rate
        frames = frames_for(duration_sec, self.config.audio_encoder.frame_rate)
        facts = facts_of_sound(
            rate,
            self.config.decoder.audio_channels,
            round(duration_sec * rate),
            self.codec.piece_frames(frames),
        )
        pieces = self.codec.stream(codes, frames, on_window, cancel)
        stream = overheard(pieces, facts, listener if splice is None else None)
        samples = join_to_length(stream, channels=facts.channels, frames=facts.frames)
        return finished(samples, rate) if splice is None else finished_like(samples, rate, splice)


def _noted(blocks: Iterable[Codes], made: list[Codes]) -> Iterator[Codes]:
    """The blocks as they come, which are in `made` then too."""
    for block in blocks:
        made.append(block)
        yield block
