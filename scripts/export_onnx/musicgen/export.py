"""A transformers model to folders of ONNX files: `published` and `native`."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lofi_daemon.backends.musicgen.bundle import (
    CONFIG,
    ENCODER,
    MANIFEST,
    Manifest,
    Precision,
    read_config,
)
from lofi_daemon.backends.musicgen.files import native_version
from lofi_daemon.backends.musicgen.native.decoder_graph import (
    Weights,
    cache_names,
    write_cross_attention,
    write_decoder,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.documents import write_document
from lofi_daemon.models.making import listed_files
from lofi_daemon.onnx.external_weights import external_files, read_model, write_model

from .modules import CodecDecoder, CodecEncoder, TextEncoder, TokenDecoder

OPSET = 17
# Above this size weights lie in a file beside the graph: protobuf ends at 2 GB.
LARGE_BYTES = 1 << 30
DECODER_PREFIXES = ("decoder.model.decoder.", "decoder.", "")


def export_published(model: Any, tokenizer: Path, folder: Path, *, opset: int = OPSET) -> None:
    """Optimum's layout in fp32; model: MusicgenForConditionalGeneration.

    opset: layer norms are one operator from 17 on, and spelt out before.
    """
    write_shared_files(model, tokenizer, folder)
    config = model.decoder.config
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    rows = 2 * config.num_codebooks
    codes = torch.zeros((rows, 3), dtype=torch.long)
    mask = torch.ones((2, 5), dtype=torch.long)
    hidden = torch.zeros((2, 5, model.text_encoder.config.d_model))
    names = [f"{i}.{kind}.{part}" for i in range(layers) for kind in _KINDS for part in _PARTS]
    free = {
        "input_ids": {0: "rows", 1: "steps"},
        "encoder_attention_mask": {0: "batch", 1: "text"},
        "encoder_hidden_states": {0: "batch", 1: "text"},
        **{
            f"{prefix}.{name}": {0: "batch", 2: "text" if "encoder" in name else f"{prefix}_steps"}
            for prefix in ("past_key_values", "present")
            for name in names
        },
    }
    trace(
        TokenDecoder(model, with_past=False),
        {"input_ids": codes, "encoder_attention_mask": mask, "encoder_hidden_states": hidden},
        ["logits", *(f"present.{name}" for name in names)],
        free,
        folder / "decoder_model.onnx",
        opset,
    )
    pasts = {
        f"past_key_values.{name}": torch.zeros((2, heads, 5, config.hidden_size // heads))
        for name in names
    }
    self_names = cache_names(layers, "decoder")
    trace(
        TokenDecoder(model, with_past=True),
        {"input_ids": codes[:, :1], "encoder_attention_mask": mask, **pasts},
        ["logits", *(f"present.{name}" for name in self_names)],
        free,
        folder / "decoder_with_past_model.onnx",
        opset,
    )


def export_native(model: Any, tokenizer: Path, folder: Path, precision: Precision) -> None:
    """The form that is fast on a CPU, its decoder's weights in a precision."""
    write_shared_files(model, tokenizer, folder)
    for name in ("text_encoder.onnx", "encodec_decode.onnx", f"{ENCODER}.onnx"):
        # Beside the graph, onnxruntime maps weights; inside, it reads them into memory twice.
        _gather_weights(folder / name)
    config = read_config(folder).decoder
    weights = decoder_weights(model)
    write_decoder(folder / "decoder.onnx", config, weights, precision)
    text_width = model.text_encoder.config.d_model
    write_cross_attention(folder / "cross_attention.onnx", config, text_width, weights)
    version = native_version(config, precision)
    manifest = Manifest(form="native", precision=precision, model_version=version)
    document = {**manifest.model_dump(), "files": listed_files(folder, CancelToken())}
    write_document(folder / MANIFEST, json.dumps(document, indent=2) + "\n")


def write_shared_files(model: Any, tokenizer: Path, folder: Path) -> None:
    """What both forms have: config.json, tokenizer.json, text_encoder.onnx, and both halves of
    EnCodec, of which the encoder is in no folder on the Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(model.config.to_json_string(use_diff=False), encoding="utf-8")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    ids = torch.ones((1, 4), dtype=torch.long)
    free = {"input_ids": {0: "batch", 1: "text"}, "attention_mask": {0: "batch", 1: "text"}}
    trace(
        TextEncoder(model),
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        ["last_hidden_state"],
        free,
        folder / "text_encoder.onnx",
    )
    codebooks = model.decoder.config.num_codebooks // model.decoder.config.audio_channels
    trace(
        CodecDecoder(model),
        {"audio_codes": torch.zeros((1, 1, codebooks, 20), dtype=torch.long)},
        ["audio_values"],
        {"audio_codes": {1: "batch", 3: "frames"}, "audio_values": {0: "batch", 2: "samples"}},
        folder / "encodec_decode.onnx",
    )
    export_encoder(model, folder)


def export_encoder(model: Any, folder: Path) -> None:
    """What reads sound alone: encodec_encode.onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    hop = model.config.audio_encoder.hop_length
    trace(
        CodecEncoder(model),
        {"audio": torch.zeros((1, 1, 20 * hop))},
        ["audio_codes"],
        {"audio": {0: "batch", 2: "samples"}, "audio_codes": {1: "batch", 3: "frames"}},
        folder / f"{ENCODER}.onnx",
    )


def decoder_weights(model: Any) -> Weights:
    """Named as write_decoder and write_cross_attention want them; views, not copies."""
    weights: dict[str, np.ndarray] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(("decoder.", "enc_to_dec_proj.")):
            prefix = next(p for p in DECODER_PREFIXES if name.startswith(p))
            weights[name.removeprefix(prefix)] = tensor.detach().float().numpy()
    return weights


def trace(
    module: nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    free_axes: dict[str, dict[int, str]],
    path: Path,
    opset: int = OPSET,
) -> None:
    """Export by tracing: unlike the exporter that replaced it, it keeps LSTM one operator."""
    names = {*inputs, *outputs}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: axes for name, axes in free_axes.items() if name in names},
            opset_version=opset,
        )
    if sum(parameter.nbytes for parameter in module.parameters()) > LARGE_BYTES:
        _gather_weights(path)


def _gather_weights(path: Path) -> None:
    """One file beside the graph, in place of the many that the exporter leaves."""
    model = read_model(path)
    scattered = external_files(model, path.parent)
    write_model(model, path, path.parent)
    for file in scattered:
        file.unlink()


_KINDS = ("decoder", "encoder")
_PARTS = ("key", "value")
