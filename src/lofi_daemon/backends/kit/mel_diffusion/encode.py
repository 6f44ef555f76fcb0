"""Sound to latents: log-mel → DCAE encoder, in windows, so that memory stays flat.

The encoder's attention spans a whole call, as the decoder's does: its windows cross over where
both have context.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lofi_daemon.backends.kit.mel_diffusion.bundle import ENCODER, Manifest, encoder_file
from lofi_daemon.backends.kit.mel_diffusion.latents import (
    CHANNELS,
    HEIGHT,
    MEL_FRAMES_PER_LATENT,
)
from lofi_daemon.backends.kit.mel_diffusion.mel import LogMel, log_mel
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.windows import blend_weights, windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelNotFound
from lofi_daemon.models.store import exists
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound.clip import Samples

BLEND_FRAMES = 16


class SoundEncoder:
    """The dcae_encoder graph: mel_spectrogram f32 [1, 2, 128, 8·T] → latents f32 [1, 8, 16, T].

    Raises ModelNotFound, which says how to get it, and ModelLoadFailed.
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        raise_if_missing(folder)
        self._manifest = manifest
        path = encoder_file(folder)
        self._model = OnnxModel(path, settings, required_inputs=("mel_spectrogram",))

    def latents(
        self, samples: Samples, on_fraction: Callable[[float], None], cancel: CancelToken
    ) -> Latents:
        """float32 [2, 4096·T] at 44.1 kHz to float32 [1, 8, 16, T], as the diffusion has them.

        Raises ModelInferenceFailed, Cancelled.
        """
        mel = self._scaled(log_mel(samples))
        frames = mel.shape[-1] // MEL_FRAMES_PER_LATENT
        facts = self._manifest.dcae
        parts = windows(frames, facts.window_frames, facts.overlap_frames)
        latents = np.zeros((1, CHANNELS, HEIGHT, frames), dtype=np.float32)
        for index, part in enumerate(parts):
            first, last = (each * MEL_FRAMES_PER_LATENT for each in (part.start, part.stop))
            window = np.ascontiguousarray(mel[None, ..., first:last])
            found = self._model.run({"mel_spectrogram": window}, cancel)[0]
            if not np.isfinite(found).all():
                raise ModelInferenceFailed(
                    f"The DCAE encoder gave NaN or Inf at latent frames {part.start}–{part.stop}.",
                    hint="Export the model again, or begin with another sound.",
                )
            latents[..., part.start : part.stop] += found * blend_weights(
                index, parts, BLEND_FRAMES
            )
            on_fraction((index + 1) / len(parts))
        constants = self._manifest.latents
        return ((latents - constants.shift) * constants.scale).astype(np.float32)

    def _scaled(self, mel: LogMel) -> LogMel:
        """From the vocoder's log-mel to what the autoencoder was trained on, in place."""
        constants = self._manifest.mel
        mel -= np.float32(constants.minimum)
        mel /= np.float32(constants.maximum - constants.minimum)
        mel -= np.float32(constants.shift)
        mel /= np.float32(constants.scale)
        return mel


def raise_if_missing(folder: Path) -> None:
    """Raises ModelNotFound where the files in this folder cannot read sound."""
    if not exists(encoder_file(folder)):
        raise ModelNotFound(
            f"{folder} lacks {ENCODER}.onnx, which reads music: these files go on from their own "
            "tracks alone.",
            hint="Export it into that folder from the original checkpoint, whose part "
            "music_dcae_f8c8 is enough: python -m scripts.export_onnx.ace_step CHECKPOINT FOLDER "
            "--only-encoder, in a copy of this project.",
        )
