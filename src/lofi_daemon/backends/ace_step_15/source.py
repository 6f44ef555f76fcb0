"""The music that a piece begins with, as latents: those that were kept, or read from its sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import AUDIO_TOKENS, ENCODER, AudioFacts, Manifest
from lofi_daemon.backends.ace_step_15.editing import (
    Cover,
    Edit,
    hears_source,
    repaint_of,
    strength_of,
)
from lofi_daemon.backends.ace_step_15.encode import AudioTokens, SoundEncoder
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.kit.editing import LATENTS
from lofi_daemon.backends.kit.splice import whole
from lofi_daemon.backends.kit.watch import percent_of
from lofi_daemon.backends.protocol import Phase, ProgressCallback
from lofi_daemon.backends.tasks import Task
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.material import read_material

BACKEND = "ace_step_15"
"""Whose tracks have latents beside them that are read here: all of its models share them."""


class SourceReader:
    """Reads sources with one set of files; each graph is in memory while it works."""

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        self._folder = folder
        self._audio = manifest.audio
        self._settings = settings

    def edit(
        self,
        task: Task,
        silence: Latents,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        *,
        explicit_mask: bool,
    ) -> Edit:
        """What a run makes of the source. silence: as long as the new track.

        Raises ModelNotFound where the files cannot read sound, AudioPlaybackError, Cancelled.
        """
        kept = kept_latents(task, self._audio.channels)
        if kept is not None:
            source = laid_out(kept, task, silence, self._audio)
        else:
            source = self._heard(task, silence.shape[1], on_progress, cancel)
        if task.name != "from_audio":
            return repaint_of(task, source, self._audio, explicit=explicit_mask)
        outline = AudioTokens(self._folder, self._settings).outline(source, silence, cancel)
        nearness = 1.0 - strength_of(task)
        return Cover(source, outline, likeness=nearness, closeness=nearness)

    def _heard(
        self, task: Task, frames: int, on_progress: ProgressCallback, cancel: CancelToken
    ) -> Latents:
        """The latents of the source's sound where it lies in the new track, silence around it."""
        audio = self._audio
        offset = round(task.offset_sec * audio.sample_rate)
        shape = (2, frames * audio.samples_per_frame)
        samples = whole(task.source.path, offset, shape, audio.sample_rate)
        report = percent_of(Phase.ENCODING, on_progress, cancel)
        return SoundEncoder(self._folder, audio, self._settings).latents(samples, report, cancel)


def source_itself(task: Task, duration_sec: float, audio: AudioFacts) -> AudioClip:
    """The sound that a task goes no way from. Raises AudioPlaybackError."""
    frames = round(duration_sec * audio.sample_rate)
    samples = whole(task.source.path, 0, (2, frames), audio.sample_rate)
    kept = kept_latents(task, audio.channels)
    material = None if kept is None else {LATENTS: kept.astype(np.float16)}
    return AudioClip(samples, audio.sample_rate, material)


def reads_sound(task: Task, channels: int) -> bool:
    """Whether the source's sound has to be encoded."""
    return hears_source(task) and kept_latents(task, channels) is None


def graphs_needed(task: Task, channels: int) -> tuple[str, ...]:
    """What of the graphs that read music the task needs."""
    graphs = (ENCODER,) if reads_sound(task, channels) else ()
    covers = task.name == "from_audio" and hears_source(task)
    return (*graphs, AUDIO_TOKENS) if covers else graphs


def kept_latents(task: Task, channels: int) -> Latents | None:
    """What the source was made of, float32 [1, S, C]; None where that was not kept, or is another
    model's. Raises AudioPlaybackError where it cannot be read."""
    if task.source.backend != BACKEND or task.source.material is None:
        return None
    kept: NDArray[Any] | None = read_material(task.source.material).get(LATENTS)
    if kept is None or kept.ndim != 3 or kept.shape[::2] != (1, channels):
        return None
    return kept.astype(np.float32)


def laid_out(kept: Latents, task: Task, silence: Latents, audio: AudioFacts) -> Latents:
    """A source's latents where they are in the new track; silence where there are none of them."""
    offset = round(task.offset_sec * audio.sample_rate / audio.samples_per_frame)
    heard, offset = kept[:, max(0, -offset) :], max(0, offset)
    laid = silence.copy()
    count = max(0, min(heard.shape[1], laid.shape[1] - offset))
    laid[:, offset : offset + count] = heard[:, :count]
    return laid
