"""A folder of files that run, and what its manifest says of the model they were made of.

Light on imports: asking whether a model is there loads nothing heavy.
"""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import Field

from lofi_daemon.backends.kit.manifest import Section, check_interface
from lofi_daemon.models.documents import FileFacts, ListedFiles, read_checked
from lofi_daemon.models.making import Source

INTERFACE = 1
MANIFEST = "manifest.json"

TOKENIZER = "tokenizer.json"
TOKEN_EMBEDDINGS = "token_embeddings"
TEXT_ENCODER = "text_encoder"
CONDITION_ENCODER = "condition_encoder"
TRANSFORMER = "transformer"
DECODER = "vae_decoder"
GRAPHS = (TOKEN_EMBEDDINGS, TEXT_ENCODER, CONDITION_ENCODER, TRANSFORMER, DECODER)
# What reads music. Sets of earlier versions lack them, and make music from words all the same.
ENCODER = "vae_encoder"
AUDIO_TOKENS = "audio_tokens"
SILENCE = "silence_latent.npy"
TIMBRE = "silence_timbre.npy"
NULL_CONDITION = "null_condition.npy"
FILES = (MANIFEST, TOKENIZER, *(f"{graph}.onnx" for graph in GRAPHS), SILENCE, TIMBRE)

TURBO_SHIFT = 3.0
TURBO_STEPS = 8
# The model was distilled with at most so many.
MAX_TURBO_STEPS = 20
# Shorter tracks are made this long and cut: the model was never trained on less.
MIN_FRAMES = 128


class AudioFacts(Section):
    """channels: of a latent frame; reach_frames: latent frames on each side that a sample can
    depend on; window_frames: frames of one decoder call, with the reach on both sides. What begins
    with encoder_ is the same of sound that is read."""

    channels: int = 64
    sample_rate: int = 48_000
    samples_per_frame: int = 1920
    reach_frames: int = 9
    window_frames: int = 146
    encoder_reach_frames: int = 7
    encoder_window_frames: int = 142

    def track_frames(self, duration_sec: float) -> int:
        """Latent frames that are made: they cover the duration, to which the track is cut."""
        samples = round(duration_sec * self.sample_rate, 6)
        return max(MIN_FRAMES, math.ceil(samples / self.samples_per_frame))


class Defaults(Section):
    """What a request gets that does not say otherwise.

    guidance_scale: 1 is none. guidance_from, guidance_to: the noise levels that are guided.
    """

    inference_steps: int = TURBO_STEPS
    scheduler: str = "euler"
    shift: float = TURBO_SHIFT
    dcw: bool = True
    guidance_scale: float = 1.0
    guidance_from: float = 0.0
    guidance_to: float = 1.0


TURBO_DEFAULTS = Defaults()
BASE_DEFAULTS = Defaults(inference_steps=50, shift=1.0, dcw=False, guidance_scale=7.0)


class RelativeCost(Section):
    """Seconds at reference speed: loading, encoding the texts, one model call a latent frame, and
    decoding or reading a latent frame."""

    loading: float = 4.0
    encoding: float = 0.5
    model_call: float = 0.0016
    decoding: float = 0.034
    reading: float = 0.034


class Manifest(Section):
    """manifest.json. kind: turbo, base or sft; eight_bits: the format of 8-bit matrices; source:
    the files it was made of; silence_known: its silence is the published one."""

    interface: int = INTERFACE
    model_version: str
    precision: str
    eight_bits: str = "int8-columns"
    kind: str = "turbo"
    is_turbo: bool = True
    audio: AudioFacts = Field(default_factory=AudioFacts)
    defaults: Defaults = TURBO_DEFAULTS
    relative_cost: RelativeCost = Field(default_factory=RelativeCost)
    source: Source = Field(default_factory=Source)
    silence_known: bool = True
    files: ListedFiles = Field(default_factory=dict[str, FileFacts])


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelLoadFailed where the manifest is missing, broken, or of another interface."""
    path = folder / MANIFEST
    manifest = read_checked(path, Manifest)
    check_interface(
        path,
        manifest.interface,
        INTERFACE,
        "delete that folder: it is made again from the download",
    )
    return manifest
