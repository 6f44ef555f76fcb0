"""Latents to sound, window by window: exact, in memory that does not grow with the track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from lofi_daemon.backends.ace_step_15.bundle import DECODER, AudioFacts
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.kit.side_by_side import shared_out, side_by_side
from lofi_daemon.backends.kit.windows import kept_spans, snug_windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound.clip import Samples


class LatentDecoder:
    """The decoder graph: latents float32 [1, T, C] to pieces of float32 [channels, n]."""

    def __init__(self, folder: Path, audio: AudioFacts, settings: SessionSettings) -> None:
        self._audio = audio
        self._workers, settings = shared_out(settings)
        self._model = OnnxModel(folder / f"{DECODER}.onnx", settings, required_inputs=("latents",))

    def piece_frames(self, latents: Latents) -> tuple[int, ...]:
        """How many frames each of the `pieces` has."""
        audio = self._audio
        parts = snug_windows(latents.shape[1], audio.window_frames, 2 * audio.reach_frames)
        return tuple(
            (span.stop - span.start) * audio.samples_per_frame for span in kept_spans(parts)
        )

    def pieces(
        self, latents: Latents, on_fraction: Callable[[float], None], cancel: CancelToken
    ) -> Iterator[Samples]:
        """Consecutive pieces of the waveform; together samples_per_frame · T frames.

        Neighbouring windows share twice the reach, so that no sample depends on a border.
        Raises ModelInferenceFailed, Cancelled.
        """
        audio = self._audio
        parts = snug_windows(latents.shape[1], audio.window_frames, 2 * audio.reach_frames)
        spans = kept_spans(parts)

        def decoded(index: int) -> Samples:
            part, span = parts[index], spans[index]
            window = np.ascontiguousarray(latents[:, part.start : part.stop].transpose(0, 2, 1))
            samples = self._model.run({"latents": window}, cancel)[0][0]
            first = (span.start - part.start) * audio.samples_per_frame
            last = (span.stop - part.start) * audio.samples_per_frame
            return samples[:, first:last]

        with closing(side_by_side(decoded, len(parts), self._workers)) as decoding:
            for done, samples in enumerate(decoding, start=1):
                on_fraction(done / len(parts))
                yield samples
