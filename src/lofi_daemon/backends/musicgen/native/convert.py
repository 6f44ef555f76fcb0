"""Published files turned once into the native form, beside them.

On a CPU fp16 graphs run slowly (onnxruntime casts every weight at every step), and the two graphs
of the published layout hold the weights twice. The native form made here is int8 where the source
is fp16, and fp32 where the source is fp32. It is used only if it computes what the source computes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from lofi_daemon.backends.musicgen.bundle import (
    CONFIG,
    ENCODER,
    DecoderConfig,
    Manifest,
    MusicGenConfig,
    Precision,
    read_config,
)
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder, TokenDecoder
from lofi_daemon.backends.musicgen.native.decoder_graph import (
    Forms,
    write_cross_attention,
    write_decoder,
)
from lofi_daemon.backends.musicgen.native.published_weights import (
    UnrecognisedGraph,
    cross_attention_weights,
    decoder_weights,
)
from lofi_daemon.backends.musicgen.sampling import Logits
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.making import CannotBeMade, make_set
from lofi_daemon.models.store import exists
from lofi_daemon.onnx.external_weights import read_model, write_model
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

# Root mean square error of the guided logits, over their spread, that the new form may have.
TOLERANCE: dict[Precision, float] = {"fp32": 2e-3, "int8": 0.2, "int4": 1.0}
PROBE_SEED = 7
PROBE_TEXT_TOKENS = 5
PROBE_COLUMNS = 3


def convert(
    folder: Path,
    target: Path,
    planned: Manifest,
    forms: Forms,
    settings: SessionSettings,
    on_fraction: Callable[[float], None],
    cancel: CancelToken,
) -> None:
    """Make the native form of the published files of `folder` in `target`.

    planned: what its manifest will say, the files aside; forms: of its matrices. `target` is whole
    or not there.
    Raises CannotBeMade where the graphs are built otherwise, or the result does not compute what
    they compute; Cancelled, OSError.
    """
    config = read_config(folder)

    def write(unfinished: Path) -> dict[str, Any]:
        _write(folder, unfinished, config, planned.precision, forms, on_fraction, cancel)
        error = _logit_error(folder, unfinished, config.decoder, settings, cancel)
        if not error < TOLERANCE[planned.precision]:
            raise CannotBeMade(f"the native form's logits differ by {error:.2g} of their spread")
        return planned.model_dump(exclude={"files"})

    identity = planned.model_dump(exclude={"files"})
    try:
        make_set(target, identity, write, cancel, resumes=False)
    except UnrecognisedGraph as reason:
        raise CannotBeMade(str(reason)) from reason


def widen(source: Path, target: Path) -> None:
    """A graph with every fp16 tensor in fp32, its weights in a file beside it.

    Raises ModelLoadFailed, OSError.
    """
    model = read_model(source)
    _widen_graph(model.graph)
    write_model(model, target, source.parent, _widened)


def _write(
    folder: Path,
    target: Path,
    config: MusicGenConfig,
    precision: Precision,
    forms: Forms,
    on_fraction: Callable[[float], None],
    cancel: CancelToken,
) -> None:
    parts = config.decoder.num_hidden_layers + 2

    def finished(part: int) -> None:
        on_fraction((part + 1) / parts)
        cancel.raise_if_cancelled()

    write_decoder(
        target / "decoder.onnx",
        config.decoder,
        decoder_weights(folder / "decoder_with_past_model.onnx", config.decoder),
        precision,
        on_layer=finished,
        forms=forms,
    )
    weights = cross_attention_weights(folder / "decoder_model.onnx", config.decoder)
    first = weights.get("enc_to_dec_proj.weight", weights["layers.0.encoder_attn.k_proj.weight"])
    write_cross_attention(target / "cross_attention.onnx", config.decoder, first.shape[1], weights)
    finished(parts - 2)
    graphs = ["text_encoder.onnx", "encodec_decode.onnx"]
    if exists(folder / f"{ENCODER}.onnx"):
        graphs.append(f"{ENCODER}.onnx")
    for name in graphs:
        widen(folder / name, target / name)
    for name in (CONFIG, "tokenizer.json"):
        shutil.copyfile(folder / name, target / name)
    finished(parts - 1)


def _logit_error(
    published: Path,
    native: Path,
    config: DecoderConfig,
    settings: SessionSettings,
    cancel: CancelToken,
) -> float:
    """Root mean square difference of the guided logits after a few steps, over their spread.

    One form at a time is in memory.
    """
    text_encoder = OnnxModel(native / "text_encoder.onnx", settings)
    ids = np.arange(1, PROBE_TEXT_TOKENS + 1, dtype=np.int64)[None]
    text = text_encoder.run({"input_ids": ids, "attention_mask": np.ones_like(ids)}, cancel)[0]
    del text_encoder
    codes = np.random.default_rng(PROBE_SEED).integers(
        config.vocab_size, size=(config.num_codebooks, PROBE_COLUMNS)
    )

    def probe(decoder: TokenDecoder) -> Logits:
        decoder.attend(text, PROBE_COLUMNS, cancel)
        for column in range(PROBE_COLUMNS - 1):
            decoder.logits(codes[:, [column]], cancel)
        return decoder.logits(codes[:, [-1]], cancel).copy()

    expected = probe(PublishedDecoder(published, config, settings))
    actual = probe(NativeDecoder(native, config, settings))
    return float(np.sqrt(np.mean((actual - expected) ** 2)) / expected.std())


def _widen_graph(graph: onnx.GraphProto) -> None:
    """Everything but the graph's own weights: what is declared, computed and held in nodes."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                for tensor in attribute.g.initializer:
                    _widen_tensor(tensor)
                _widen_graph(attribute.g)
            elif node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        array = _widened(onnx.numpy_helper.to_array(tensor))
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float16 else values
