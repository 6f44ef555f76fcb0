"""What each phase of a run costs, measured on the exported files with the daemon's own pipeline.

The daemon needs the proportions for its very first progress; later ones rest on what it measures
itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lofi_daemon.backends.kit.mel_diffusion.bundle import encoder_file
from lofi_daemon.backends.kit.mel_diffusion.context import instrumental_lyric
from lofi_daemon.backends.kit.mel_diffusion.encode import SoundEncoder
from lofi_daemon.backends.kit.mel_diffusion.latents import SAMPLES_PER_FRAME, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import NO_ERG, AceStepPipeline
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

FRAMES = 128
"""About twelve seconds of music, and what one call of the published DCAE takes."""

CHANNELS = 2


def measure_cost(folder: Path) -> dict[str, float]:
    """Seconds for loading and encoding, and per latent frame for a model call, the DCAE, the
    vocoder (one channel) and, where there is an encoder, for reading a sound: the manifest's
    ``relative_cost``."""
    never = CancelToken()
    started = time.perf_counter()
    pipeline = AceStepPipeline(folder)
    loading = time.perf_counter() - started
    tokens = pipeline.text_encoder.tokenize("rainy night, rhodes, vinyl crackle")
    contexts = pipeline.contexts(tokens, instrumental_lyric(), NO_ERG, never)
    latents = gaussian_noise(0, 0, latents_shape(FRAMES))
    timestep = latents.dtype.type(500)
    mel = pipeline.decoder.mel(latents, _ignore, never)
    reading: dict[str, float] = {}
    if encoder_file(folder).exists():
        encoder = SoundEncoder(folder, pipeline.manifest, SessionSettings())
        sound = gaussian_noise(0, 0, (CHANNELS, FRAMES * SAMPLES_PER_FRAME)) * 0.1
        reading["reading"] = _seconds(lambda: encoder.latents(sound, _ignore, never), FRAMES)
    return {
        "loading": round(loading, 4),
        "encoding": _seconds(
            lambda: pipeline.contexts(tokens, instrumental_lyric(), NO_ERG, never)
        ),
        "model_call": _seconds(
            lambda: pipeline.transformer.conditional(latents, timestep, contexts, never), FRAMES
        ),
        "dcae": _seconds(lambda: pipeline.decoder.mel(latents, _ignore, never), FRAMES),
        "vocoder": _seconds(
            lambda: list(pipeline.decoder.waveform(mel, _ignore, never)), CHANNELS * FRAMES
        ),
        **reading,
    }


def _ignore(share: float) -> None:
    pass


def _seconds(call: Callable[[], object], parts: int = 1) -> float:
    """The better of two calls, divided by ``parts``."""
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return round(best / parts, 7)
