"""Reading the original checkpoint folders: four folders, each with config.json and weights.

Loading is strict: every parameter must be in the file with the right shape, and every tensor in
the file must be a parameter or be known not to matter for inference. Weights are memory-mapped
and assigned, not copied, so that loading costs next to no memory of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .lyric_encoder import LyricEncoderConfig
from .transformer import AceStepTransformer, TransformerConfig
from .vocoder import IGNORED_TENSORS, Vocoder, VocoderConfig

TRANSFORMER_FOLDER = "ace_step_transformer"
DCAE_FOLDER = "music_dcae_f8c8"
VOCODER_FOLDER = "music_vocoder"
TEXT_ENCODER_FOLDER = "umt5-base"

TRAINING_ONLY = re.compile(
    r"projectors\.|.*\.cross_attn\.(add_[qkv]_proj|to_add_out)\.|rotary_emb\."
)
"""Tensors of the transformer that inference never reads: the heads that were trained against
other models' features, and projections that the attention has but does not use."""

DECODER_HALF = re.compile(r"decoder\.|lm_head\.")
"""Of a full UMT5, what an encoder does not have."""


class CheckpointError(Exception):
    """A checkpoint folder is not what the export expects; the message says where and why."""


@dataclass(frozen=True)
class Checkpoint:
    """The loaded models, in evaluation mode, and the configs of those written here."""

    text_encoder: nn.Module
    transformer: AceStepTransformer
    dcae: nn.Module
    vocoder: Vocoder
    vocoder_config: VocoderConfig


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load all four models of an original checkpoint.

    Raises CheckpointError when a folder, a config key or a tensor is missing or unexpected.
    """
    vocoder, vocoder_config = load_vocoder(folder / VOCODER_FOLDER)
    return Checkpoint(
        text_encoder=load_text_encoder(folder / TEXT_ENCODER_FOLDER),
        transformer=load_transformer(folder / TRANSFORMER_FOLDER),
        dcae=load_dcae(folder / DCAE_FOLDER),
        vocoder=vocoder,
        vocoder_config=vocoder_config,
    )


def load_transformer(folder: Path) -> AceStepTransformer:
    """Load the diffusion transformer with its context encoder."""
    weights = read_weights(folder)
    config = TransformerConfig.from_dict(
        read_config(folder), infer_lyric_encoder_config(weights, folder)
    )
    with torch.device("meta"):
        model = AceStepTransformer(config)
    assign_weights(model, weights, folder, ignored=TRAINING_ONLY)
    return model


def load_vocoder(folder: Path) -> tuple[Vocoder, VocoderConfig]:
    """Load the vocoder; weight norms may be named the old or the new way."""
    config = VocoderConfig.from_dict(read_config(folder))
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in read_weights(folder).items()
    }
    with torch.device("meta"):
        model = Vocoder(config)
    ignored = re.compile("|".join(f"{re.escape(name)}$" for name in IGNORED_TENSORS))
    assign_weights(model, renamed, folder, ignored=ignored)
    return model, config


def load_dcae(folder: Path) -> nn.Module:
    """Load the mel autoencoder, a diffusers ``AutoencoderDC``."""
    from diffusers import AutoencoderDC

    config = read_config(folder)
    with torch.device("meta"):
        model = AutoencoderDC.from_config(config)
    assign_weights(model, read_weights(folder), folder)
    return model


def load_text_encoder(folder: Path) -> nn.Module:
    """Load the encoder half of UMT5."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(**read_config(folder))
    # The eager form exports to plain operators.
    config._attn_implementation = "eager"
    weights = read_weights(folder)
    weights.setdefault("encoder.embed_tokens.weight", weights.get("shared.weight"))
    with torch.device("meta"):
        model = UMT5EncoderModel(config)
    assign_weights(model, weights, folder, ignored=DECODER_HALF)
    return model


def read_config(folder: Path) -> dict[str, Any]:
    """Parse ``config.json`` of a folder."""
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: is {folder.parent} an ACE-Step checkpoint?")
    return json.loads(path.read_text(encoding="utf-8"))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's safetensors or .bin files, memory-mapped, in float32.

    Sharded files are joined. Half-precision tensors are widened, so the export's arithmetic and
    its check against PyTorch are in float32 whatever the storage.
    """
    safetensors = sorted(folder.glob("*.safetensors"))
    pickles = sorted(folder.glob("*.bin"))
    weights: dict[str, Tensor] = {}
    if safetensors:
        for path in safetensors:
            weights.update(load_file(path))
    elif pickles:
        for path in pickles:
            weights.update(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    else:
        raise CheckpointError(f"{folder} holds neither a .safetensors nor a .bin file")
    return {name: tensor.float() for name, tensor in weights.items()}


def infer_lyric_encoder_config(weights: dict[str, Tensor], folder: Path) -> LyricEncoderConfig:
    """Read the lyric encoder's sizes off its tensors; no config.json holds them."""
    prefix = "lyric_encoder.encoders."
    blocks = {name[len(prefix) :].split(".")[0] for name in weights if name.startswith(prefix)}
    try:
        units, width = weights[f"{prefix}0.feed_forward.w_1.weight"].shape
        heads = weights[f"{prefix}0.self_attn.pos_bias_u"].shape[0]
    except KeyError as missing:
        raise CheckpointError(f"{folder} has no lyric encoder: {missing} is missing") from None
    return LyricEncoderConfig(width, heads, units, len(blocks))


def assign_weights(
    model: nn.Module,
    weights: dict[str, Tensor],
    folder: Path,
    ignored: re.Pattern[str] | None = None,
) -> None:
    """Give ``model``, built on the meta device, its weights; strict, see the module's text.

    Raises CheckpointError that lists missing, unexpected and misshapen tensors.
    """
    kept = {n: t for n, t in weights.items() if ignored is None or not ignored.match(n)}
    expected = model.state_dict()
    problems = [f"missing: {_listed(expected.keys() - kept.keys())}"] * bool(
        expected.keys() - kept.keys()
    )
    if unexpected := kept.keys() - expected.keys():
        problems.append(f"unexpected: {_listed(unexpected)}")
    if misshapen := [
        f"{name} {tuple(kept[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in kept and kept[name].shape != tensor.shape
    ]:
        problems.append(f"wrong shape: {_listed(misshapen)}")
    if problems:
        raise CheckpointError(f"{folder} does not fit its config.json; {'; '.join(problems)}")
    model.load_state_dict(kept, strict=True, assign=True)
    model.requires_grad_(False)
    model.eval()


def _listed(names: Iterable[str], limit: int = 5) -> str:
    names = sorted(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
