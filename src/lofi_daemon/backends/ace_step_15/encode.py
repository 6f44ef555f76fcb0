"""Sound to latents, window by window: exact, in memory that does not grow with the sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.ace_step_15.bundle import AUDIO_TOKENS, ENCODER, AudioFacts
from lofi_daemon.backends.ace_step_15.graphs.audio_tokens import GROUP
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.kit.windows import kept_spans, windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples


class SoundEncoder:
    """The autoencoder's encoder graph. Raises ModelNotFound and ModelLoadFailed."""

    def __init__(self, folder: Path, audio: AudioFacts, settings: SessionSettings) -> None:
        self._audio = audio
        settings = replace(settings, arena=False)
        self._model = OnnxModel(folder / f"{ENCODER}.onnx", settings, required_inputs=("audio",))

    def latents(
        self, samples: Samples, on_fraction: Callable[[float], None], cancel: CancelToken
    ) -> Latents:
        """float32 [channels, samples_per_frame · T] at ±1 to float32 [1, T, C].

        What is louder than full scale is cut. Neighbouring windows share twice the reach, so that
        no frame depends on a border. Raises ModelInferenceFailed, Cancelled.
        """
        audio = self._audio
        frames = samples.shape[1] // audio.samples_per_frame
        parts = windows(frames, audio.encoder_window_frames, 2 * audio.encoder_reach_frames)
        latents = np.empty((1, frames, audio.channels), dtype=np.float32)
        for number, (part, span) in enumerate(zip(parts, kept_spans(parts), strict=True), start=1):
            first, last = (each * audio.samples_per_frame for each in (part.start, part.stop))
            window = np.clip(samples[None, :, first:last], -1.0, 1.0)
            spool.let_go(samples)
            mean = self._model.run({"audio": np.ascontiguousarray(window)}, cancel)[0]
            kept = mean[:, :, span.start - part.start : span.stop - part.start]
            latents[:, span.start : span.stop] = kept.transpose(0, 2, 1)
            on_fraction(number / len(parts))
        return latents


class AudioTokens:
    """The 5 Hz tokenizer and its inverse. Raises ModelNotFound and ModelLoadFailed."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        settings = replace(settings, arena=False)
        self._model = OnnxModel(
            folder / f"{AUDIO_TOKENS}.onnx", settings, required_inputs=("latents",)
        )

    def outline(self, latents: Latents, silence: Latents, cancel: CancelToken) -> Latents:
        """What a cover keeps of its source, of the same shape.

        silence: float32 [1, ≥ 4, C], whose first frames fill the last token.
        """
        frames = latents.shape[1]
        filled = np.concatenate((latents, silence[:, : -frames % GROUP]), axis=1)
        return self._model.run({"latents": filled}, cancel)[0][:, :frames]
