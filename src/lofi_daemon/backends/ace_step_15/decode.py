"""Latents to sound, window by window: exact, in memory that does not grow with the track."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.ace_step_15.bundle import DECODER, AudioFacts
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.kit.windows import kept_spans, windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound.clip import Samples

# Convolutions of few channels keep one core busy better than two: windows side by side are a sixth
# cheaper than one after another on all cores.
SIDE_BY_SIDE = 2


class LatentDecoder:
    """The decoder graph: latents float32 [1, T, C] to pieces of float32 [channels, n]."""

    def __init__(self, folder: Path, audio: AudioFacts, settings: SessionSettings) -> None:
        self._audio = audio
        threads = settings.threads or os.cpu_count() or 1
        self._workers = min(SIDE_BY_SIDE, threads) if settings.device in ("cpu", "auto") else 1
        # Those who wait for their window work too: together they are `threads`.
        settings = replace(settings, threads=threads - self._workers + 1)
        self._model = OnnxModel(folder / f"{DECODER}.onnx", settings, required_inputs=("latents",))

    def piece_frames(self, latents: Latents) -> tuple[int, ...]:
        """How many frames each of the `pieces` has."""
        audio = self._audio
        parts = windows(latents.shape[1], audio.window_frames, 2 * audio.reach_frames)
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
        parts = windows(latents.shape[1], audio.window_frames, 2 * audio.reach_frames)
        spans = kept_spans(parts)

        def decoded(index: int) -> Samples:
            part, span = parts[index], spans[index]
            window = np.ascontiguousarray(latents[:, part.start : part.stop].transpose(0, 2, 1))
            samples = self._model.run({"latents": window}, cancel)[0][0]
            first = (span.start - part.start) * audio.samples_per_frame
            last = (span.stop - part.start) * audio.samples_per_frame
            return samples[:, first:last]

        waiting: deque[Future[Samples]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for index in range(len(parts) + self._workers):
                    if index < len(parts):
                        waiting.append(pool.submit(decoded, index))
                    if index >= self._workers:
                        samples = waiting.popleft().result()
                        on_fraction((index - self._workers + 1) / len(parts))
                        yield samples
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
