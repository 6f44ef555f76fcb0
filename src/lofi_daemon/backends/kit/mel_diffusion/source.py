"""The music that a track begins with, as latents: those that were kept, or read from its sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lofi_daemon.backends.kit.editing import LATENTS
from lofi_daemon.backends.kit.mel_diffusion.bundle import Manifest
from lofi_daemon.backends.kit.mel_diffusion.editing import (
    OUTPUT_SAMPLE_RATE,
    fits,
    hears_source,
)
from lofi_daemon.backends.kit.mel_diffusion.encode import SoundEncoder
from lofi_daemon.backends.kit.mel_diffusion.latents import SAMPLES_PER_FRAME, frames_for
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.splice import whole
from lofi_daemon.backends.kit.watch import percent_of
from lofi_daemon.backends.protocol import Phase, ProgressCallback
from lofi_daemon.backends.tasks import Task
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.material import read_material

CHANNELS = 2


def source_latents(
    task: Task,
    folder: Path,
    manifest: Manifest,
    settings: SessionSettings,
    on_progress: ProgressCallback,
    cancel: CancelToken,
) -> Latents:
    """float32 [1, 8, 16, S] of all of the source. The encoder is in memory while it works.

    Raises ModelNotFound where the files cannot read sound, AudioPlaybackError, Cancelled.
    """
    kept = kept_latents(task)
    if kept is not None:
        return kept
    encoder = SoundEncoder(folder, manifest, settings)
    rate = manifest.vocoder.sample_rate
    frames = frames_for(task.source.duration_sec)
    samples = whole(task.source.path, 0, (CHANNELS, frames * SAMPLES_PER_FRAME), rate)
    return encoder.latents(samples, percent_of(Phase.ENCODING, on_progress, cancel), cancel)


def source_itself(task: Task, duration_sec: float) -> AudioClip:
    """The sound that a task goes no way from. Raises AudioPlaybackError."""
    frames = round(duration_sec * OUTPUT_SAMPLE_RATE)
    samples = whole(task.source.path, 0, (CHANNELS, frames), OUTPUT_SAMPLE_RATE)
    kept = kept_latents(task)
    material = None if kept is None else {LATENTS: kept.astype(np.float16)}
    return AudioClip(samples, OUTPUT_SAMPLE_RATE, material)


def reads_sound(task: Task) -> bool:
    """Whether the source's sound has to be encoded. Raises AudioPlaybackError."""
    return hears_source(task) and kept_latents(task) is None


def kept_latents(task: Task) -> Latents | None:
    """What the source was made of, float32 [1, 8, 16, S]; None where that was not kept. Raises
    AudioPlaybackError where it cannot be read."""
    if task.source.material is None:
        return None
    kept = read_material(task.source.material).get(LATENTS)
    return kept.astype(np.float32) if kept is not None and fits(kept) else None
