"""Tokens to sound: the EnCodec decoder, in overlapping windows, so that memory stays flat."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import MusicGenConfig
from lofi_daemon.backends.musicgen.codec_windows import (
    AHEAD_FRAMES,
    CROSS_FRAMES,
    codec_windows,
    decoded_frames,
)
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

Samples = NDArray[np.float32]


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
        edges = [0, *(window.until for window in codec_windows(frames))]
        return tuple((stop - start) * self._hop for start, stop in itertools.pairwise(edges))

    def stream(
        self,
        codes: Iterable[Codes],
        frames: int,
        on_window: Callable[[float], None],
        cancel: CancelToken,
    ) -> Iterator[Samples]:
        """Consecutive pieces of `samples` of all the codes, window by window, as the codes come.

        codes: int64 [K, n], one after another, `frames` of them together. on_window gets the share
        that is done before and after each window. Raises Cancelled, ModelInferenceFailed.
        """
        hop, blocks = self._hop, iter(codes)
        rise = 0.5 - 0.5 * np.cos(
            np.pi * (np.arange(CROSS_FRAMES * hop) + 0.5) / CROSS_FRAMES / hop
        )
        rise = rise.astype(np.float32)
        to_do, done = decoded_frames(frames), 0
        there: Codes | None = None
        tail: Samples | None = None
        left_at = 0
        for window in codec_windows(frames):
            there = gathered(there, blocks, window.stop)
            on_window(done / to_do)
            sound = self.samples(there[:, window.start : window.stop], cancel)
            if tail is not None:
                sound = sound[:, (left_at - window.start) * hop :]
                sound[:, : rise.size] = tail * (1.0 - rise) + sound[:, : rise.size] * rise
            if window.stop < frames:
                end = sound.shape[1] - AHEAD_FRAMES * hop
                tail = sound[:, end - rise.size : end].copy()
                sound = sound[:, : end - rise.size]
            left_at = window.until
            done += window.frames
            on_window(done / to_do)
            yield sound


def gathered(there: Codes | None, blocks: Iterator[Codes], frames: int) -> Codes:
    """What is there already, and as many of the blocks as make it that many frames or more."""
    parts = [] if there is None else [there]
    count = sum(part.shape[1] for part in parts)
    while count < frames:
        parts.append(next(blocks))
        count += parts[-1].shape[1]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
