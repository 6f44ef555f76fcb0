"""Sound to tokens: the EnCodec encoder, in overlapping windows, so that memory stays flat.

Its LSTM runs forward from a state of zeros, so the first tokens of a later window are those of the
window before it, until it has settled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import ENCODER, MusicGenConfig, encoder_file
from lofi_daemon.backends.musicgen.codec_windows import AHEAD_FRAMES, SETTLE_FRAMES
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelNotFound
from lofi_daemon.models.store import exists
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound import spool
from lofi_daemon.sound.clip import Samples

WINDOW_FRAMES = 500
# The convolutions continue a sound by its mirror image, and need as much of it.
LEAST_FRAMES = 8


class EncodecEncoder:
    """The encodec_encode graph: audio f32 [1, 1, hop · S] → audio_codes i64 [1, 1, K, S].

    Raises ModelNotFound, which says how to get it, and ModelLoadFailed.
    """

    def __init__(self, folder: Path, config: MusicGenConfig, settings: SessionSettings) -> None:
        raise_if_missing(folder)
        self._model = OnnxModel(encoder_file(folder), settings, required_inputs=("audio",))
        self._hop = config.audio_encoder.hop_length
        self._codebooks = config.decoder.num_codebooks
        self._channels = config.decoder.audio_channels

    def codes(
        self, samples: Samples, on_fraction: Callable[[float], None], cancel: CancelToken
    ) -> Codes:
        """int64 [K, S] of float32 [channels, hop · S].

        Stereo codebooks are interleaved: left, right, left, right. Raises Cancelled.
        """
        frames = samples.shape[1] // self._hop
        codes = np.zeros((self._codebooks, frames), dtype=np.int64)
        unshared = WINDOW_FRAMES - SETTLE_FRAMES - AHEAD_FRAMES
        for start in range(0, max(1, frames - SETTLE_FRAMES - AHEAD_FRAMES), unshared):
            stop = min(frames, start + WINDOW_FRAMES)
            first = start + SETTLE_FRAMES if start else 0
            last = stop if stop == frames else stop - AHEAD_FRAMES
            window = samples[:, start * self._hop : stop * self._hop]
            for channel in range(self._channels):
                found = self._read(window[channel], cancel)[:, first - start : last - start]
                codes[channel :: self._channels, first:last] = found
            spool.let_go(samples)
            on_fraction(stop / frames)
        return codes

    def _read(self, sound: NDArray[np.float32], cancel: CancelToken) -> Codes:
        missing = max(0, LEAST_FRAMES * self._hop - sound.size)
        audio = np.pad(sound, (0, missing))[None, None]
        codes = self._model.run({"audio": np.ascontiguousarray(audio)}, cancel)[0]
        return codes.reshape(-1, codes.shape[-1]).astype(np.int64)


def raise_if_missing(folder: Path) -> None:
    """Raises ModelNotFound where the files in this folder cannot read sound."""
    if not exists(encoder_file(folder)):
        raise ModelNotFound(
            f"{folder} lacks {ENCODER}.onnx, which reads music: these files go on from tracks of "
            "MusicGen alone, and of those that have their tokens beside them.",
            hint="Export it into that folder: python -m scripts.export_onnx.musicgen "
            "facebook/musicgen-small FOLDER --only-encoder, in a copy of this project.",
        )
