"""One request from text to sound, stage by stage; usable without the daemon.

pipeline = MusicGenPipeline(Path("~/.cache/lofi.nvim/musicgen").expanduser())
clip = pipeline.generate(GenerationRequest("rainy night, rhodes", 30.0, seed=42))
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lofi_daemon.backends.kit.finish import finished
from lofi_daemon.backends.kit.watch import ignore_progress, percent_of
from lofi_daemon.backends.musicgen.bundle import read_config
from lofi_daemon.backends.musicgen.codec import EncodecDecoder
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder, TokenDecoder
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.backends.musicgen.forms import Form, chosen_form, make_runnable
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

# Of the loading time, what making the native form takes when it has to be made.
CONVERTING_SHARE = 0.9


class MusicGenPipeline:
    """All graphs of one model, loaded.

    form: files to run as they are; by default the one that is fast here, made on first use, in
    the precision that variant names (see chosen_form).
    Raises ModelNotFound and ModelLoadFailed, naming the file, and Cancelled.
    """

    def __init__(
        self,
        folder: Path,
        settings: SessionSettings | None = None,
        *,
        form: Form | None = None,
        variant: str | None = None,
        cancel: CancelToken | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> None:
        settings = settings or SessionSettings()
        cancel = cancel or CancelToken()

        loaded = percent_of(Phase.LOADING, on_progress, cancel)
        if form is None:
            form = make_runnable(
                chosen_form(folder, settings.device, variant),
                settings,
                lambda done: loaded(CONVERTING_SHARE * done),
                cancel,
            )
        if form.manifest.form == "native":
            settings = replace(settings, device="cpu")
        self.form = form
        self.config = read_config(form.folder)
        # Called once a track: what they need for a call is not kept for the next.
        once = replace(settings, arena=False)
        self.text_encoder = TextEncoder(form.folder, once)
        loaded(0.93)
        decoder = self.config.decoder
        self.decoder: TokenDecoder = (
            NativeDecoder(form.folder, decoder, settings)
            if form.manifest.form == "native"
            else PublishedDecoder(form.folder, decoder, settings)
        )
        self.device = self.decoder.device
        loaded(0.99)
        self.codec = EncodecDecoder(form.folder, self.config, once)
        loaded(1.0)

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> AudioClip:
        """The music of a request, exactly as long as asked, at the codec's rate and channels.

        Raises ModelInferenceFailed, Cancelled.
        """
        cancel = cancel or CancelToken()
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        text = self.text_encoder.encode(self.text_encoder.tokenize(request.prompt), cancel)
        on_progress(PhaseProgress(Phase.ENCODING, 1, 1, 1.0))
        codes = self.tokens(request, text, on_progress, cancel)
        return self.decode(codes, request.duration_sec, on_progress, cancel)

    def tokens(
        self,
        request: GenerationRequest,
        text: TextStates,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> Codes:
        """Text states to codes, int64 [K, frames]."""
        rate = self.config.audio_encoder.frame_rate
        total = frames_for(request.duration_sec, rate)
        windows = stretches(total, rate)
        total_cost = expected_cost(windows, total)

        def on_frame(done: int) -> None:
            fraction = expected_cost(windows, done) / total_cost
            on_progress(PhaseProgress(Phase.DECODING_TOKENS, done, total, fraction))
            cancel.raise_if_cancelled()

        on_frame(0)
        return generate_tokens(
            self.decoder,
            self.config.decoder,
            text,
            windows,
            Sampling(request.seed),
            on_frame,
            cancel,
        )

    def decode(
        self,
        codes: Codes,
        duration_sec: float,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        """Codes to the finished track: cut to the duration, levelled, faded at its end."""
        on_window = percent_of(Phase.DECODING, on_progress, cancel)
        on_window(0.0)
        rate = self.config.audio_encoder.sampling_rate
        samples = join_to_length(
            self.codec.stream(codes, on_window, cancel),
            channels=self.config.decoder.audio_channels,
            frames=round(duration_sec * rate),
        )
        return finished(samples, rate)
