"""From a loaded checkpoint to a folder of ONNX files, each checked against PyTorch."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import onnx_ir
import torch
from torch import Tensor

from ..manifest import write_manifest
from ..verify import Expectation, verify_graph
from .checkpoint import Checkpoint
from .graphs import PUBLISHED_DCAE_FRAMES, Form, Graph, build_graphs, weakening_has_effect
from .vocoder import receptive_field_frames

Precision = Literal["fp32", "fp16"]
Report = Callable[[str], None]

OPSET = 18
TOKENIZER_FILE = "tokenizer.json"
DECODER_WEIGHTS_FILE = "transformer_decoder_weights.bin"
LARGEST_EMBEDDED_BYTES = 2 * 10**9
"""A protobuf file cannot exceed 2 GiB; weights above this go into a file beside the graph."""

ERROR_LIMITS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.1}
"""Largest difference from PyTorch in float32, in standard deviations, that is let through."""

LATENT_CONSTANTS = {"scale": 0.1786, "shift": -1.9091, "inside": False}
MEL_CONSTANTS = {"scale": 0.5, "shift": 0.5, "minimum": -11.0, "maximum": 3.0, "inside": False}


def export_checkpoint(
    checkpoint: Checkpoint,
    out_dir: Path,
    *,
    tokenizer: Path,
    form: Form = "native",
    precision: Precision = "fp32",
    model_version: str = "ace-step-v1-3.5b",
    licence: str = "Apache-2.0",
    report: Report = print,
) -> Path:
    """Export every graph of ``checkpoint`` into ``out_dir``, with tokenizer and manifest.

    The checkpoint's modules are rearranged on the way and of no further use. Raises
    VerificationError when a graph does not do what its PyTorch module does.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    erg = form == "native" and weakening_has_effect(checkpoint)
    mels = checkpoint.vocoder_config
    files = [TOKENIZER_FILE]
    shutil.copyfile(tokenizer, out_dir / TOKENIZER_FILE)
    for graph in build_graphs(checkpoint, form):
        files += export_graph(graph, out_dir, precision, report)
    content: dict[str, Any] = {
        "form": form,
        "model": "ace_step",
        "model_version": model_version,
        "precision": precision,
        "licence": licence,
        "latents": LATENT_CONSTANTS,
        "mel": MEL_CONSTANTS,
        "vocoder": {
            "receptive_field_frames": receptive_field_frames(mels),
            "sample_rate": mels.sampling_rate,
            "hop_length": mels.hop_length,
        },
        "dcae": (
            {"window_frames": PUBLISHED_DCAE_FRAMES, "overlap_frames": 32}
            if form == "published"
            else {"window_frames": 512, "overlap_frames": 64}
        ),
        "erg": erg,
        "score": None,
        "defaults": {
            "inference_steps": 60,
            "scheduler": "euler",
            "guidance_scale": 15.0,
            "cfg_type": "apg",
            "guidance_interval": 0.5,
        },
        "mastering": None,
    }
    write_manifest(out_dir, content, files)
    return out_dir


def export_graph(
    graph: Graph, out_dir: Path, precision: Precision = "fp32", report: Report = print
) -> list[str]:
    """Export one graph, check it, and return the names of the files written."""
    generator = torch.Generator().manual_seed(0)
    expectations = [
        _expectation(graph, graph.example(sizes, generator), sizes)
        for sizes in graph.verify_sizes
    ]
    graph.prepare()
    if precision == "fp16":
        graph.module.half()
    path = out_dir / graph.file_name
    files = save_program(trace(graph, graph.example(graph.sizes, generator)), path)
    errors = verify_graph(path, expectations, ERROR_LIMITS[precision])
    for expectation, error in zip(expectations, errors, strict=True):
        report(f"{graph.file_name}: {expectation.label}: {error:.1e} of std from PyTorch")
    return files


def trace(graph: Graph, inputs: dict[str, Tensor]) -> onnx_ir.Model:
    """Let PyTorch translate the graph's module into ONNX."""
    with warnings.catch_warnings():
        # Deprecations inside torch, and notes that two inputs share an axis: both meant.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(graph.free_axes.get(name) or None for name in inputs),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model


def save_program(model: onnx_ir.Model, path: Path) -> list[str]:
    """Write the model, its weights beside it where they are many; return the file names.

    The decoder's weights are always a file of their own, as in the published bundle.
    """
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    if path.stem != "transformer_decoder" and size < LARGEST_EMBEDDED_BYTES:
        onnx_ir.save(model, path)
        return [path.name]
    weights = (
        DECODER_WEIGHTS_FILE if path.stem == "transformer_decoder" else f"{path.stem}_weights.bin"
    )
    (path.parent / weights).unlink(missing_ok=True)
    onnx_ir.save(model, path, external_data=weights)
    return [path.name, weights]


def _expectation(graph: Graph, inputs: dict[str, Tensor], sizes: dict[str, int]) -> Expectation:
    with torch.no_grad():
        outputs = graph.module(*inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return Expectation(
        label=", ".join(f"{name} {length}" for name, length in sizes.items()),
        inputs={name: tensor.numpy() for name, tensor in inputs.items()},
        outputs=[output.numpy() for output in outputs],
    )
