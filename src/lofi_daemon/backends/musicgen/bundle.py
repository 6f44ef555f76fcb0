"""A folder of MusicGen files: which form they have, and what config.json says of the model.

The published form is Optimum's layout: two decoder graphs, and no manifest. The native form is
this project's own: one decoder graph, its caches in place, and a manifest.json. Light on imports:
asking whether a model is there loads nothing heavy.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from lofi_daemon.backends.kit.manifest import Section, check_interface
from lofi_daemon.models.documents import FileFacts, ListedFiles, read_checked
from lofi_daemon.models.making import Source
from lofi_daemon.models.store import exists

INTERFACE = 1
# Twice the weights a scale that the formats have by default: a step reads every weight once, and
# this is what it reads less.
USUAL_BLOCK = 64

CONFIG = "config.json"
MANIFEST = "manifest.json"
SHARED_FILES = (CONFIG, "tokenizer.json", "text_encoder.onnx", "encodec_decode.onnx")
PUBLISHED_FILES = (*SHARED_FILES, "decoder_model.onnx", "decoder_with_past_model.onnx")
NATIVE_FILES = (*SHARED_FILES, "cross_attention.onnx", "decoder.onnx")
# What reads sound: no published folder has it, and nothing but the music of other music needs it.
ENCODER = "encodec_encode"

Precision = Literal["fp32", "int8", "int4"]


class DecoderConfig(Section):
    """The transformer over tokens; the defaults are transformers' own, which it leaves out."""

    vocab_size: int = 2048
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_size: int = 1024
    num_codebooks: int = 4
    audio_channels: int = 1
    pad_token_id: int = 2048
    activation_function: str = "gelu"
    ffn_dim: int = 4096

    @property
    def weights_per_step(self) -> int:
        """Weights that one step reads (and the embedding tables, of which it reads rows)."""
        layer = self.hidden_size * (6 * self.hidden_size + 2 * self.ffn_dim)
        tables = 2 * self.num_codebooks * self.vocab_size * self.hidden_size
        return self.num_hidden_layers * layer + tables

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


class CodecConfig(Section):
    """EnCodec: sampling_rate in Hz; a token frame is the product of the ratios in samples."""

    sampling_rate: int = 32000
    upsampling_ratios: tuple[int, ...] = (8, 5, 4, 4)

    @property
    def hop_length(self) -> int:
        return math.prod(self.upsampling_ratios)

    @property
    def frame_rate(self) -> int:
        return math.ceil(self.sampling_rate / self.hop_length)


class MusicGenConfig(Section):
    """config.json, as transformers writes it."""

    decoder: DecoderConfig
    audio_encoder: CodecConfig


class Manifest(Section):
    """manifest.json of the native form.

    block: weights that share a scale, in matrices of the precision's bits. source: the files it
    was made of, if any.
    """

    interface: int = INTERFACE
    form: Literal["native", "published"] = "published"
    precision: Precision = "fp32"
    model_version: str = "published"
    block: int = USUAL_BLOCK
    source: Source = Field(default_factory=Source)
    files: ListedFiles = Field(default_factory=dict[str, FileFacts])


def read_config(folder: Path) -> MusicGenConfig:
    """Raises ModelLoadFailed when config.json is broken or of another kind of model."""
    return read_checked(folder / CONFIG, MusicGenConfig)


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest, or that of published files where there is none.

    Raises ModelLoadFailed when the file is broken or of another interface version.
    """
    path = folder / MANIFEST
    if not exists(path):
        return Manifest()
    manifest = read_checked(path, Manifest)
    check_interface(path, manifest.interface, INTERFACE)
    return manifest


def needed_files(manifest: Manifest) -> tuple[str, ...]:
    """Names of the files without which nothing runs, and of those that the manifest lists."""
    needed = NATIVE_FILES if manifest.form == "native" else PUBLISHED_FILES
    return (*needed, *(name for name in manifest.files if name not in needed))


def missing_files(folder: Path, manifest: Manifest) -> list[str]:
    """Names of the files that are needed and not there."""
    return [name for name in needed_files(manifest) if not (folder / name).is_file()]


def encoder_file(folder: Path) -> Path:
    """The graph that reads sound: in the folder, or, for a set that was made of published files,
    beside those."""
    name = f"{ENCODER}.onnx"
    places = (folder / name, folder.parent / name)
    return next((each for each in places if exists(each)), places[0])
