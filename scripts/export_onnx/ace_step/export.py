"""From a loaded checkpoint to a folder of ONNX files, each checked against PyTorch."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
import onnx_ir
import torch
from torch import nn

from lofi_daemon.onnx.images import convolutions_as_images

from ..assembly import pin, store_in_half
from ..manifest import write_manifest
from ..verify import Expectation, verify_graph
from .checkpoint import Checkpoint
from .cost import measure_cost
from .graphs import (
    PUBLISHED_DCAE_FRAMES,
    Form,
    Graph,
    build_graphs,
    mel_encoder_graph,
    weakening_has_effect,
)
from .vocoder import receptive_field_frames

Precision = Literal["fp32", "fp16"]
Report = Callable[[str], None]

TOKENIZER_FILE = "tokenizer.json"
LYRIC_TOKENIZER_FILE = "lyric_tokenizer.json"
DECODER_NAME = "transformer_decoder"
LARGEST_EMBEDDED_BYTES = 2 * 10**9
"""A protobuf file cannot exceed 2 GiB; weights above this go into a file beside the graph."""

ERROR_LIMITS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.1}
"""Largest difference from PyTorch in float32, in standard deviations, that is let through."""

DCAE_WINDOWS: dict[Form, dict[str, int]] = {
    "native": {"window_frames": 330, "overlap_frames": 64},
    "published": {"window_frames": PUBLISHED_DCAE_FRAMES, "overlap_frames": 32},
}
DEFAULTS = {
    "inference_steps": 25,
    "scheduler": "adams",
    "guidance_scale": 15.0,
    "cfg_type": "apg",
    "guidance_interval": 0.5,
}
LATENT_CONSTANTS = {"scale": 0.1786, "shift": -1.9091, "inside": False}
MEL_CONSTANTS = {"scale": 0.5, "shift": 0.5, "minimum": -11.0, "maximum": 3.0, "inside": False}


def export_checkpoint(
    checkpoint: Checkpoint,
    out_dirs: Mapping[Form, Path],
    *,
    tokenizer: Path,
    lyric_tokenizer: Path | None = None,
    precision: Precision = "fp32",
    model_version: str = "ace-step-v1-3.5b",
    licence: str = "Apache-2.0",
    report: Report = print,
) -> None:
    """Export every graph of ``checkpoint``, with tokenizers and manifest, in the forms asked for.

    Without ``lyric_tokenizer`` the bundle makes instrumental music only.
    The checkpoint's modules are rearranged on the way and of no further use. Raises
    VerificationError when a graph does not do what its PyTorch module does.
    """
    erg = weakening_has_effect(checkpoint)
    vocoder = checkpoint.vocoder_config
    copied = {TOKENIZER_FILE: tokenizer}
    if lyric_tokenizer is not None:
        copied[LYRIC_TOKENIZER_FILE] = lyric_tokenizer
    shared_files, encoder_files = [*copied], list[str]()
    for out_dir in out_dirs.values():
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, source in copied.items():
            shutil.copyfile(source, out_dir / name)
    for graph in build_graphs(checkpoint):
        if not graph.native_only:
            shared_files += export_graph(graph, out_dirs, precision, report)
        elif "native" in out_dirs:
            native = {"native": out_dirs["native"]}
            encoder_files += export_graph(graph, native, precision, report)
    for form, out_dir in out_dirs.items():
        content: dict[str, Any] = {
            "form": form,
            "model": "ace_step",
            "model_version": model_version,
            "precision": precision,
            "licence": licence,
            "latents": LATENT_CONSTANTS,
            "mel": MEL_CONSTANTS,
            "vocoder": {
                "receptive_field_frames": receptive_field_frames(vocoder),
                "sample_rate": vocoder.sampling_rate,
                "hop_length": vocoder.hop_length,
            },
            "dcae": DCAE_WINDOWS[form],
            "erg": erg and form == "native",
            "score": None,
            "defaults": DEFAULTS,
            "mastering": None,
        }
        files = [*shared_files, *(encoder_files if form == "native" else ())]
        write_manifest(out_dir, content, files)
        write_manifest(out_dir, content | {"relative_cost": measure_cost(out_dir)}, files)


def export_mel_encoder(
    dcae: nn.Module, out_dir: Path, precision: Precision = "fp32", report: Report = print
) -> None:
    """Export what reads sound alone, into a folder of files of either form.

    Raises VerificationError.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    export_graph(mel_encoder_graph(dcae), {"native": out_dir}, precision, report)


def export_graph(
    graph: Graph,
    out_dirs: Mapping[Form, Path],
    precision: Precision = "fp32",
    report: Report = print,
) -> list[str]:
    """Export one graph in each of the forms asked for, check it, return the file names.

    The module is not to be used afterwards. Raises VerificationError.
    """
    expectations = {form: _expectations(graph, form) for form in out_dirs}
    graph.module.prepare()
    if precision == "fp16" and graph.module.half_arithmetic:
        graph.module.half()
    generator = torch.Generator().manual_seed(0)
    inputs = graph.example(graph.sizes, generator)
    model = graph.module.translate(inputs, graph.free_axes, graph.outputs)
    if precision == "fp16" and not graph.module.half_arithmetic:
        store_in_half(model)
    files: list[str] = []
    # Native first: pinning changes the model for good.
    for form in sorted(out_dirs):
        if form == "published":
            pin(model, dict.fromkeys(graph.pinned_inputs, 1.0), graph.pinned_axes)
        files = save_model(model, out_dirs[form] / graph.file_name)
        if form == "native" and graph.over_time:
            _as_images(out_dirs[form] / graph.file_name)
    graph.module.release()
    # Graphs refer to themselves, and this one still holds the weights.
    del model
    gc.collect()
    for form, out_dir in sorted(out_dirs.items()):
        path = out_dir / graph.file_name
        errors = verify_graph(path, expectations[form], ERROR_LIMITS[precision])
        for expectation, error in zip(expectations[form], errors, strict=True):
            report(f"{form} {path.name}: {expectation.label}: {error:.1e} of std from PyTorch")
    return files


def save_model(model: onnx_ir.Model, path: Path) -> list[str]:
    """Write the model, its weights beside it where they are many; return the file names.

    The decoder's weights are always a file of their own, as in the published bundle.
    """
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    if path.stem != DECODER_NAME and size < LARGEST_EMBEDDED_BYTES:
        onnx_ir.save(model, path)
        return [path.name]
    weights = f"{path.stem}_weights.bin"
    (path.parent / weights).unlink(missing_ok=True)
    onnx_ir.save(model, path, external_data=weights)
    return [path.name, weights]


def _as_images(path: Path) -> None:
    """Rewrite a graph's convolutions over time; its weights stay as they are."""
    model = onnx.load(str(path), load_external_data=False)
    convolutions_as_images(model)
    onnx.save(model, str(path))


def _expectations(graph: Graph, form: Form) -> list[Expectation]:
    """Let PyTorch answer example calls of the sizes that this form can take."""
    generator = torch.Generator().manual_seed(1)
    expectations = []
    for sizes in graph.verify_sizes:
        inputs = graph.example(sizes, generator)
        if form == "published":
            if any(sizes[axis] != length for axis, length in graph.pinned_axes.items()):
                continue
            inputs = {n: t for n, t in inputs.items() if n not in graph.pinned_inputs}
        with torch.no_grad():
            outputs = graph.module(*inputs.values())
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        expectations.append(
            Expectation(
                label=", ".join(f"{name} {length}" for name, length in sizes.items()),
                inputs={name: tensor.numpy() for name, tensor in inputs.items()},
                outputs=[output.numpy() for output in outputs],
            )
        )
    return expectations
