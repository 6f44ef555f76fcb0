"""The diffusion transformer with random weights of any size, for measurements.

Filled in place and exported straight from memory, so that the real size, 10 GB of float32, needs
little more than itself.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from scripts.export_onnx.ace_step.export import Report, export_graph
from scripts.export_onnx.ace_step.graphs import denoiser_graph
from scripts.export_onnx.ace_step.lyric_encoder import LyricEncoderConfig
from scripts.export_onnx.ace_step.transformer import AceStepTransformer, TransformerConfig


def real_size(blocks: int = 24) -> TransformerConfig:
    """The published configuration, with fewer blocks if asked for, and a small lyric encoder."""
    return TransformerConfig(num_layers=blocks, lyric_encoder=LyricEncoderConfig(num_blocks=1))


def random_transformer(config: TransformerConfig, seed: int = 0) -> AceStepTransformer:
    """Weights that keep activations near unit size, from PyTorch's generator."""
    with torch.device("meta"):
        model = AceStepTransformer(config)
    model.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        inputs = math.prod(parameter.shape[1:])
        spread = 0.05 if name.endswith("bias") else 1.0 / math.sqrt(inputs)
        parameter.uniform_(-spread, spread, generator=generator).mul_(math.sqrt(3.0))
    return model


def export_random_denoiser(
    out_dir: Path, config: TransformerConfig, report: Report = print
) -> Path:
    """Export only ``transformer_decoder.onnx`` and return its path. Native form, float32."""
    out_dir.mkdir(parents=True, exist_ok=True)
    graph = denoiser_graph(random_transformer(config))
    export_graph(graph, {"native": out_dir}, report=report)
    return out_dir / graph.file_name
