"""One request from text to sound, stage by stage; usable without the daemon.

pipeline = MusicGenPipeline(Path("~/.cache/lofi.nvim/musicgen").expanduser())
clip = pipeline.generate(GenerationRequest("rainy night, rhodes", 30.0, seed=42))
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from lofi_daemon.backends.kit.finish import facts_of_sound, finished
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.watch import ignore_progress, percent_of
from lofi_daemon.backends.musicgen.bundle import read_config, read_manifest
from lofi_daemon.backends.musicgen.codec import EncodecDecoder
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder, TokenDecoder
from lofi_daemon.backends.musicgen.delay_pattern import Codes
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
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._parts.make_room_for(self._text_encoder)
        text = self.text_encoder.encode(self.text_encoder.tokenize(request.prompt), cancel)
        on_progress(PhaseProgress(Phase.ENCODING, 1, 1, 1.0))
        with closing(self.tokens(request, text, on_progress, cancel)) as tokens:
            # Where both are in memory, what is there is decoded while more is drawn.
            codes = tokens if self._parts.keep else list(tokens)
            return self.decode(codes, request.duration_sec, on_progress, cancel, listener)

    def tokens(
        self,
        request: GenerationRequest,
        text: TextStates,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> Generator[Codes]:
        """Text states to codes, int64 [K, 1], frame after frame."""
        self._parts.make_room_for(self._decoder)
        self.device = self.decoder.device
        rate = self.config.audio_encoder.frame_rate
        total = frames_for(request.duration_sec, rate)
        windows = stretches(total, rate)
        total_cost = expected_cost(windows, total)

        def on_frame(done: int) -> None:
            fraction = expected_cost(windows, done) / total_cost
            on_progress(PhaseProgress(Phase.DECODING_TOKENS, done, total, fraction))
            cancel.raise_if_cancelled()

        on_frame(0)
        tokens = generate_tokens(
            self.decoder, self.config.decoder, text, windows, Sampling(request.seed), cancel
        )
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
    ) -> AudioClip:
        """Codes, as they come, to the finished track: cut to the duration, levelled, faded at its
        end.

        The listener hears it before it is levelled.
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
        stream = overheard(self.codec.stream(codes, frames, on_window, cancel), facts, listener)
        samples = join_to_length(stream, channels=facts.channels, frames=facts.frames)
        return finished(samples, rate)
