"""The real model's sizes with random weights, for measurements: the transformer, or all of it.

Filled in place and exported straight from memory, so that the real size, 10 GB of float32, needs
little more than itself.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from scripts.export_onnx.ace_step.checkpoint import Checkpoint
from scripts.export_onnx.ace_step.export import Report, export_checkpoint, export_graph
from scripts.export_onnx.ace_step.graphs import (
    Form,
    denoiser_graph,
    mel_decoder_graph,
    vocoder_graph,
)
from scripts.export_onnx.ace_step.lyric_encoder import LyricEncoderConfig
from scripts.export_onnx.ace_step.transformer import AceStepTransformer, TransformerConfig
from scripts.export_onnx.ace_step.vocoder import Vocoder, VocoderConfig
from scripts.export_onnx.tiny import build_tokenizer, dcae_config


def real_size(blocks: int = 24) -> TransformerConfig:
    """The published configuration, with fewer blocks if asked for, and a small lyric encoder."""
    return TransformerConfig(num_layers=blocks, lyric_encoder=LyricEncoderConfig(num_blocks=1))


def random_transformer(
    config: TransformerConfig, seed: int = 0, dtype: torch.dtype = torch.float32
) -> AceStepTransformer:
    """Weights that keep activations near unit size, from PyTorch's generator."""
    with torch.device("meta"):
        model = AceStepTransformer(config).to(dtype)
    model.to_empty(device="cpu").requires_grad_(False).eval()
    randomise(model, seed)
    return model


def randomise(model: nn.Module, seed: int) -> None:
    """Fill every parameter so that a layer's output is about as large as its input."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        inputs = math.prod(parameter.shape[1:])
        spread = 0.05 if name.endswith("bias") else 1.0 / math.sqrt(inputs)
        parameter.uniform_(-spread, spread, generator=generator).mul_(math.sqrt(3.0))
    for name, parameter in model.named_parameters():
        if name.endswith("weight_g"):  # a weight norm: the weight is as its direction was drawn
            direction = model.get_parameter(name.removesuffix("g") + "v")
            parameter.copy_(direction.flatten(1).norm(dim=1).reshape(parameter.shape))


def export_random_denoiser(
    out_dir: Path, config: TransformerConfig, report: Report = print
) -> Path:
    """Export only ``transformer_decoder.onnx`` and return its path. Native form, float32."""
    out_dir.mkdir(parents=True, exist_ok=True)
    graph = denoiser_graph(random_transformer(config))
    export_graph(graph, {"native": out_dir}, report=report)
    return out_dir / graph.file_name


def export_random_decoders(out_dirs: Mapping[Form, Path], report: Report = print) -> None:
    """Export only ``dcae_decoder.onnx`` and ``vocoder.onnx``, checked on few frames."""
    config = VocoderConfig()
    mel_decoder = mel_decoder_graph(random_dcae())
    vocoder = vocoder_graph(random_vocoder(config), config.input_channels)
    for graph, size in ((mel_decoder, {"frames": 5}), (vocoder, {"mel_frames": 24})):
        export_graph(replace(graph, verify_sizes=(size,)), out_dirs, report=report)


def export_random_bundle(folder: Path, report: Report = print) -> None:
    """The whole model, native form in float32, 12 GB: text encoder to vocoder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = Path(scratch) / "tokenizer.json"
        build_tokenizer().save(str(tokenizer))
        export_checkpoint(
            random_checkpoint(),
            {"native": folder},
            tokenizer=tokenizer,
            model_version="random-3.5b",
            licence="MIT",
            report=report,
        )


def random_checkpoint(seed: int = 0) -> Checkpoint:
    """Every module in the published sizes, initialised as its library does."""
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(seed)
    text_config = UMT5Config(
        d_model=768,
        d_kv=64,
        d_ff=2048,
        num_heads=12,
        num_layers=12,
        vocab_size=256384,
        feed_forward_proj="gated-gelu",
    )
    # The eager form exports to plain operators.
    text_config._attn_implementation = "eager"
    return Checkpoint(
        text_encoder=UMT5EncoderModel(text_config).eval().requires_grad_(False),
        transformer=random_transformer(TransformerConfig(), seed),
        dcae=random_dcae(seed),
        vocoder=random_vocoder(VocoderConfig(), seed),
        vocoder_config=VocoderConfig(),
    )


def random_dcae(seed: int = 0) -> nn.Module:
    """The mel autoencoder in its published size."""
    from diffusers import AutoencoderDC

    torch.manual_seed(seed)
    dcae = AutoencoderDC.from_config(
        dcae_config(
            residual_blocks=3,
            head_width=32,
            widths=(128, 256, 512, 1024),
            encoder_layers=(2, 2, 3, 3),
            decoder_layers=(3, 3, 3, 3),
        )
    )
    return dcae.eval().requires_grad_(False)


def random_vocoder(config: VocoderConfig, seed: int = 0) -> Vocoder:
    """Weights that keep activations near unit size."""
    vocoder = Vocoder(config).eval().requires_grad_(False)
    randomise(vocoder, seed)
    return vocoder
