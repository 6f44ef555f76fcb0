"""Music from music: how much of its source a track begins with, in seconds and in tokens.

An extension begins with all of its source. New music from a sound begins with the share of it that
its strength leaves, and goes on in its own way; it is as long as the source. Either way what stays
is the source's own sound, and the model hears its last 12 s as tokens that it has already made.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.kit.editing import joined, splice_of
from lofi_daemon.backends.kit.finish import END_FADE_SEC
from lofi_daemon.backends.kit.splice import Splice, whole
from lofi_daemon.backends.kit.watch import percent_of
from lofi_daemon.backends.musicgen.bundle import MusicGenConfig
from lofi_daemon.backends.musicgen.codec_windows import AHEAD_FRAMES
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.backends.musicgen.encoder import EncodecEncoder
from lofi_daemon.backends.protocol import Phase, ProgressCallback
from lofi_daemon.backends.tasks import Task
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidParams
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.material import Material, read_material

BACKEND = "musicgen"
"""Whose tracks have tokens beside them that are read here: all of its sizes share EnCodec."""
TOKENS = "tokens"
RAMP_SEC = 0.05
USUAL_STRENGTH = 0.5


def resolved(task: Task, frame_rate: int) -> Task:
    """The task with nothing left open, its new music beginning with a token frame.

    Raises InvalidParams for an extension at the beginning.
    """
    if task.name == "from_audio":
        return task if task.strength is not None else replace(task, strength=USUAL_STRENGTH)
    assert task.span is not None, "an extension has a span"
    if task.span[0] < 0:
        raise InvalidParams(
            "span: MusicGen makes music from its beginning on, and cannot add any before it.",
            hint="Extend the end, or use a backend that can do both.",
            parameters=["span"],
        )
    task = joined(task, task.source.duration_sec - END_FADE_SEC - RAMP_SEC, 0.0, frame_rate)
    assert task.span is not None, "joining leaves the span"
    return replace(task, span=(_frames(task.span[0], frame_rate) / frame_rate, task.span[1]))


def frames_kept(task: Task, frame_rate: int) -> int:
    """How many token frames of the source the track begins with."""
    if task.name == "from_audio":
        return _frames((1.0 - _strength(task)) * task.source.duration_sec, frame_rate)
    assert task.span is not None, "an extension has a span"
    return _frames(task.span[0], frame_rate)


def is_the_source(task: Task | None) -> bool:
    """Whether nothing of the track is new."""
    return task is not None and task.name == "from_audio" and _strength(task) == 0.0


def hears_source(task: Task, frame_rate: int) -> bool:
    """Whether the model gets tokens of the source."""
    return not is_the_source(task) and frames_kept(task, frame_rate) > 0


def reads_sound(task: Task, config: MusicGenConfig) -> bool:
    """Whether the source's sound has to be encoded. Raises AudioPlaybackError."""
    rate = config.audio_encoder.frame_rate
    return hears_source(task, rate) and kept_tokens(task, config) is None


def splice_for(task: Task, duration_sec: float, config: MusicGenConfig) -> Splice:
    """Where the source's sound stays in the track."""
    rate = config.audio_encoder.frame_rate
    begin = frames_kept(task, rate) / rate
    new = replace(task, span=(begin, duration_sec))
    return splice_of(new, duration_sec, config.audio_encoder.sampling_rate, RAMP_SEC)


def beginning_of(
    task: Task,
    folder: Path,
    config: MusicGenConfig,
    settings: SessionSettings,
    on_progress: ProgressCallback,
    cancel: CancelToken,
) -> Codes:
    """int64 [K, P]: the tokens that the track begins with. The encoder is in memory while it works.

    Raises ModelNotFound where the files cannot read sound, AudioPlaybackError, Cancelled.
    """
    codec = config.audio_encoder
    frames = frames_kept(task, codec.frame_rate)
    kept = kept_tokens(task, config)
    if kept is not None:
        return kept[:, :frames]
    encoder = EncodecEncoder(folder, config, settings)
    # A token feels a little of what comes after it.
    shape = (config.decoder.audio_channels, (frames + AHEAD_FRAMES) * codec.hop_length)
    samples = whole(task.source.path, 0, shape, codec.sampling_rate)
    report = percent_of(Phase.ENCODING, on_progress, cancel)
    return encoder.codes(samples, report, cancel)[:, :frames]


def source_itself(task: Task, duration_sec: float, config: MusicGenConfig) -> AudioClip:
    """The sound that a task goes no way from. Raises AudioPlaybackError."""
    rate = config.audio_encoder.sampling_rate
    shape = (config.decoder.audio_channels, round(duration_sec * rate))
    kept = kept_tokens(task, config)
    material = None if kept is None else material_of(kept)
    return AudioClip(whole(task.source.path, 0, shape, rate), rate, material)


def kept_tokens(task: Task, config: MusicGenConfig) -> Codes | None:
    """What the source was made of, int64 [K, S]; None where that was not kept, or is another
    model's. Raises AudioPlaybackError where it cannot be read."""
    source, decoder = task.source, config.decoder
    if source.backend != BACKEND or source.material is None:
        return None
    kept = read_material(source.material).get(TOKENS)
    fits = (
        kept is not None
        and kept.dtype.kind == "i"
        and kept.ndim == 2
        and kept.shape[0] == decoder.num_codebooks
        and kept.shape[1] >= frames_kept(task, config.audio_encoder.frame_rate)
        and kept.min(initial=0) >= 0
        and kept.max(initial=0) < decoder.vocab_size
    )
    return kept.astype(np.int64) if fits and kept is not None else None


def material_of(codes: Codes) -> Material:
    """What is kept beside a track for those that go on from it."""
    return {TOKENS: codes.astype(np.int16)}


def _frames(seconds: float, frame_rate: int) -> int:
    return math.floor(round(seconds * frame_rate, 6))


def _strength(task: Task) -> float:
    assert task.strength is not None, "a resolved task says how far it goes"
    return task.strength
