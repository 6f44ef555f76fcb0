"""A set of files that runs, made of a checkpoint: graphs, and weights tensor by tensor.

Interrupted at any instant, the next attempt goes on after the last weight that was written.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import (
    AUDIO_TOKENS,
    BASE_DEFAULTS,
    CONDITION_ENCODER,
    DECODER,
    ENCODER,
    GRAPHS,
    NULL_CONDITION,
    SILENCE,
    TEXT_ENCODER,
    TIMBRE,
    TOKEN_EMBEDDINGS,
    TOKENIZER,
    TRANSFORMER,
    TURBO_DEFAULTS,
    AudioFacts,
    Manifest,
)
from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint, is_known_silence
from lofi_daemon.backends.ace_step_15.graphs.audio_tokens import write_audio_tokens
from lofi_daemon.backends.ace_step_15.graphs.autoencoder import (
    encoder_reach_frames,
    reach_frames,
    write_autoencoder_decoder,
    write_autoencoder_encoder,
)
from lofi_daemon.backends.ace_step_15.graphs.condition_encoder import (
    write_condition_encoder,
    write_timbre_encoder,
)
from lofi_daemon.backends.ace_step_15.graphs.text_encoder import (
    write_text_encoder,
    write_token_embeddings,
)
from lofi_daemon.backends.ace_step_15.graphs.transformer import write_transformer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models import making
from lofi_daemon.models.making import SourceFile
from lofi_daemon.models.quantize.fastest_format import fastest_format
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.onnx.weight_formats import Storage, WeightFormat

logger = logging.getLogger(__name__)

TIMBRE_ENCODER = "timbre_encoder"
_WRITE: Mapping[str, Callable[[GraphWriter, Checkpoint, Precision], None]] = {
    TOKEN_EMBEDDINGS: write_token_embeddings,
    TEXT_ENCODER: lambda graph, checkpoint, precision: write_text_encoder(
        graph, checkpoint, precision.sensitive
    ),
    CONDITION_ENCODER: lambda graph, checkpoint, precision: write_condition_encoder(
        graph, checkpoint, precision.sensitive
    ),
    TRANSFORMER: write_transformer,
    DECODER: lambda graph, checkpoint, precision: write_autoencoder_decoder(graph, checkpoint),
    ENCODER: lambda graph, checkpoint, precision: write_autoencoder_encoder(graph, checkpoint),
    AUDIO_TOKENS: lambda graph, checkpoint, precision: write_audio_tokens(
        graph, checkpoint, precision.sensitive
    ),
}
CORE_FRAMES = 128

OnProgress = Callable[[str, float], None]
"""Gets the file that is being written and the share of the whole work that is done."""


@dataclass(frozen=True)
class SetOptions:
    """eight_bits: the format of 8-bit matrices; session: how the timbre encoder is run once."""

    precision: Precision = Precision.INT8
    eight_bits: WeightFormat = WeightFormat.INT8_COLUMNS
    session: SessionSettings = field(default_factory=SessionSettings)


def options_for(target: Path, precision: str, threads: int | None) -> SetOptions:
    """How the set in `target` is made: the format of 8 bits is the one that an interrupted attempt
    began with, else the one that is fastest here."""
    options = SetOptions(Precision(precision), session=SessionSettings(threads=threads))
    if options.precision not in (Precision.INT8, Precision.INT4):
        return options
    before = making.begun(target) or {}
    if before.get("precision") == precision:
        return replace(options, eight_bits=WeightFormat(before["eight_bits"]))
    return replace(options, eight_bits=fastest_format(threads))


def make_set(
    checkpoint: Checkpoint,
    target: Path,
    options: SetOptions,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> None:
    """Make the set of `checkpoint` in `target`, which is whole or not there.

    Raises ModelLoadFailed where the checkpoint is not what it should be, OSError, Cancelled.
    """

    source = _source(checkpoint, cancel)

    def write(unfinished: Path) -> dict[str, Any]:
        silence = checkpoint.silence()
        if silence.shape[1] != checkpoint.autoencoder.latent_channels:
            raise ModelLoadFailed(
                f"The silence of {checkpoint.model} has {silence.shape[1]} channels instead of "
                f"{checkpoint.autoencoder.latent_channels}."
            )
        known = is_known_silence(silence)
        if not known:
            logger.warning(
                "The latents of silence in %s are not the published ones; they are used as they "
                "are.",
                checkpoint.model,
            )
        work = _Work(checkpoint, unfinished, options, on_progress, cancel)
        _save(unfinished / SILENCE, silence)
        _save(unfinished / TIMBRE, work.timbre(silence))
        if not checkpoint.is_turbo:
            _save(unfinished / NULL_CONDITION, checkpoint.tensor("null_condition_emb"))
        for graph in graphs_of(checkpoint):
            work.write(graph)
        shutil.copyfile(checkpoint.tokenizer / TOKENIZER, unfinished / TOKENIZER)
        return _manifest(checkpoint, options, source, known).model_dump(exclude={"files"})

    identity = {"source": making.sums_of(source), **_said(options)}
    making.make_set(target, identity, write, cancel)


def graphs_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What is made of it: some checkpoints lack what reads music."""
    reading = ((ENCODER, checkpoint.hears), (AUDIO_TOKENS, checkpoint.has_audio_tokens))
    return (*GRAPHS, *(graph for graph, there in reading if there))


class _Work:
    """Writes graphs and counts the checkpoint's values that went into them."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        folder: Path,
        options: SetOptions,
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> None:
        self._checkpoint = checkpoint
        self._folder = folder
        self._options = options
        self._on_progress = on_progress
        self._cancel = cancel
        self._total = max(1, checkpoint.values_of_a_set)
        self._done = 0

    def write(self, graph: str) -> None:
        def with_precision(writer: GraphWriter) -> None:
            _WRITE[graph](writer, self._checkpoint, self._options.precision)

        self._write(graph, with_precision)

    def timbre(self, silence: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [1, 1, width]: what the timbre encoder makes of silence, computed once."""
        path = self._folder / TIMBRE
        if not path.is_file():
            self._write(
                TIMBRE_ENCODER, lambda writer: write_timbre_encoder(writer, self._checkpoint)
            )
            model = OnnxModel(self._folder / f"{TIMBRE_ENCODER}.onnx", self._options.session)
            latents = silence[None, : self._checkpoint.timbre_frames]
            row = model.run({"latents": latents}, self._cancel)[0]
            del model
            for suffix in (".onnx", ".bin"):
                (self._folder / f"{TIMBRE_ENCODER}{suffix}").unlink()
            return row
        return np.load(path)

    def _write(self, graph: str, write: Callable[[GraphWriter], None]) -> None:
        path = self._folder / f"{graph}.onnx"

        def on_weight(count: int) -> None:
            self._done += count
            self._on_progress(path.name, min(1.0, self._done / self._total))

        if path.is_file():
            return
        identity = _said(self._options)
        eight_bits = Storage(self._options.eight_bits)
        with GraphWriter(
            path, identity, eight_bits, on_weight=on_weight, cancel=self._cancel
        ) as writer:
            write(writer)


def _manifest(
    checkpoint: Checkpoint, options: SetOptions, source: Mapping[str, SourceFile], known: bool
) -> Manifest:
    sizes = checkpoint.autoencoder
    reach, encoder_reach = reach_frames(sizes), encoder_reach_frames(sizes)
    precision = options.precision.value
    name = "xl-" if checkpoint.has_timbre_token else ""
    return Manifest(
        model_version=f"1.5-{name}{checkpoint.kind}-{precision}",
        precision=precision,
        eight_bits=options.eight_bits.value,
        kind=checkpoint.kind,
        is_turbo=checkpoint.is_turbo,
        audio=AudioFacts(
            channels=sizes.latent_channels,
            sample_rate=sizes.sample_rate,
            samples_per_frame=sizes.samples_per_frame,
            reach_frames=reach,
            window_frames=CORE_FRAMES + 2 * reach,
            encoder_reach_frames=encoder_reach,
            encoder_window_frames=CORE_FRAMES + 2 * encoder_reach,
        ),
        defaults=TURBO_DEFAULTS if checkpoint.is_turbo else BASE_DEFAULTS,
        source=dict(source),
        silence_known=known,
    )


def _source(checkpoint: Checkpoint, cancel: CancelToken) -> dict[str, SourceFile]:
    root = Path(os.path.commonpath([checkpoint.model, checkpoint.vae]))
    names = (path.relative_to(root).as_posix() for path in checkpoint.files)
    return making.source_of(root, names, cancel)


def _said(options: SetOptions) -> dict[str, Any]:
    return {"precision": options.precision.value, "eight_bits": options.eight_bits.value}


def _save(path: Path, values: NDArray[np.float32]) -> None:
    """Whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as stream:
        np.save(stream, values)
    temporary.replace(path)
