"""Tokens to sound: the EnCodec decoder, in overlapping windows, so that memory stays flat.

Its LSTM runs forward from a state of zeros and its convolutions reach a few frames to either
side, so neighbouring windows cross over late in their shared stretch: the right one has settled
by then, and the left one does not feel its end yet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import MusicGenConfig
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

Samples = NDArray[np.float32]

WINDOW_FRAMES = 500
# Settling of the LSTM, then the crossing, then what the convolutions look ahead.
SETTLE_FRAMES = 100
CROSS_FRAMES = 10
AHEAD_FRAMES = 15
SHARED_FRAMES = SETTLE_FRAMES + CROSS_FRAMES + AHEAD_FRAMES


class EncodecDecoder:
    """The encodec_decode graph: codes i64 [1, 1, K, S] → samples f32 [1, 1, hop · S].

    Raises ModelNotFound and ModelLoadFailed, naming the file.
    """

    def __init__(self, folder: Path, config: MusicGenConfig, settings: SessionSettings) -> None:
        self._model = OnnxModel(folder / "encodec_decode.onnx", settings)
        codes = next((s for s in self._model.inputs.values() if s.dtype is np.int64), None)
        if codes is None or len(codes.shape) != 4:
            raise ModelLoadFailed(
                f"Model file {self._model.path} has no input of codes [1, 1, K, S]."
            )
        self._input = codes.name
        self._hop = config.audio_encoder.hop_length
        self._channels = config.decoder.audio_channels

    def samples(self, codes: Codes, cancel: CancelToken) -> Samples:
        """float32 [channels, hop · S] of int64 [K, S] in one call a channel.

        Stereo codebooks are interleaved: left, right, left, right.
        """
        channels: list[Samples] = []
        for channel in range(self._channels):
            tokens = codes[channel :: self._channels][None, None]
            sound = self._model.run({self._input: tokens}, cancel)[0].reshape(-1)
            if not np.isfinite(sound).all():
                raise ModelInferenceFailed("The EnCodec decoder gave NaN or Inf.")
            channels.append(sound[: codes.shape[1] * self._hop])
        return np.stack(channels)

    def piece_frames(self, frames: int) -> tuple[int, ...]:
        """How many frames of sound each piece of a `stream` of that many codes has."""
        starts = range(0, max(1, frames - SHARED_FRAMES), WINDOW_FRAMES - SHARED_FRAMES)
        kept = WINDOW_FRAMES - AHEAD_FRAMES - CROSS_FRAMES
        edges = [0, *(start + kept for start in starts[:-1]), frames]
        return tuple((stop - start) * self._hop for start, stop in itertools.pairwise(edges))

    def stream(
        self, codes: Codes, on_window: Callable[[float], None], cancel: CancelToken
    ) -> Iterator[Samples]:
        """Consecutive pieces of `samples(codes)`, window by window; on_window gets the share done.

        Raises Cancelled, ModelInferenceFailed.
        """
        hop, frames = self._hop, codes.shape[1]
        rise = 0.5 - 0.5 * np.cos(
            np.pi * (np.arange(CROSS_FRAMES * hop) + 0.5) / CROSS_FRAMES / hop
        )
        rise = rise.astype(np.float32)
        tail: Samples | None = None
        for start in range(0, max(1, frames - SHARED_FRAMES), WINDOW_FRAMES - SHARED_FRAMES):
            stop = min(frames, start + WINDOW_FRAMES)
            sound = self.samples(codes[:, start:stop], cancel)
            if tail is not None:
                sound = sound[:, SETTLE_FRAMES * hop :]
                sound[:, : rise.size] = tail * (1.0 - rise) + sound[:, : rise.size] * rise
            if stop < frames:
                end = sound.shape[1] - AHEAD_FRAMES * hop
                tail = sound[:, end - rise.size : end].copy()
                sound = sound[:, : end - rise.size]
            on_window(stop / frames)
            yield sound
