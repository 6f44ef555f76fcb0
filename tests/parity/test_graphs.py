"""The exported files, in plain onnxruntime, against the reference's numbers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.parity.reference_set import (
    CALL_LIMIT,
    CONTEXT_LIMIT,
    DECODE_LIMIT,
    TEXT_LIMIT,
    ReferenceSet,
    difference,
)
from tests.parity.test_modules import CALLS, LATENT_SCALE, LATENT_SHIFT, LYRICS, RAW_MELS

FORMS = ["native", "published"]


@cache
def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    """Call a graph, leaving out the ERG factors that it does not have."""
    graph = session(path)
    names = {entry.name for entry in graph.get_inputs()}
    optional = {"query_scale", "lyric_query_scale"}
    return graph.run(None, {n: a for n, a in inputs.items() if n in names or n not in optional})


def full(value: float, *shape: int) -> np.ndarray:
    return np.full(shape, value, dtype=np.float32)


@pytest.fixture(params=FORMS)
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_bundle")


def interface(path: Path) -> dict[str, list[int | str]]:
    graph = session(path)
    return {entry.name: entry.shape for entry in [*graph.get_inputs(), *graph.get_outputs()]}


def test_published_interface(published_bundle: Path, reference: ReferenceSet) -> None:
    config = reference.config("transformer")
    width = config["num_attention_heads"] * config["attention_head_dim"]
    text_width = config["text_embedding_dim"]

    text = interface(published_bundle / "text_encoder.onnx")
    assert text.pop("last_hidden_state")[-1] == text_width
    assert text == {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"]}

    context = interface(published_bundle / "transformer_encoder.onnx")
    assert context.pop("encoder_hidden_states")[-1] == width
    assert len(context.pop("encoder_hidden_mask")) == 2
    assert context == {
        "encoder_text_hidden_states": ["batch", "tokens", text_width],
        "text_attention_mask": ["batch", "tokens"],
        "speaker_embeds": ["batch", config["speaker_embedding_dim"]],
        "lyric_token_idx": ["batch", "lyric_tokens"],
        "lyric_mask": ["batch", "lyric_tokens"],
    }
    assert interface(published_bundle / "transformer_decoder.onnx") == {
        "hidden_states": [1, 8, 16, "frames"],
        "attention_mask": [1, "frames"],
        "encoder_hidden_states": [1, "context", width],
        "encoder_hidden_mask": [1, "context"],
        "timestep": [1],
        "sample": [1, 8, 16, "frames"],
    }
    assert interface(published_bundle / "dcae_decoder.onnx") == {
        "latents": [1, 8, 16, 128],
        "mel_spectrogram": [1, 2, 128, 1024],
    }
    mels = reference.config("vocoder")["input_channels"]
    assert interface(published_bundle / "vocoder.onnx")["mel"] == [1, mels, "mel_frames"]
    assert (published_bundle / "transformer_decoder_weights.bin").is_file()


def test_native_interface(native_bundle: Path) -> None:
    decoder = interface(native_bundle / "transformer_decoder.onnx")
    assert decoder["hidden_states"] == ["batch", 8, 16, "frames"]
    assert decoder["timestep"] == ["batch"]
    assert decoder["query_scale"] == ["batch"]
    assert interface(native_bundle / "text_encoder.onnx")["query_scale"] == []
    assert interface(native_bundle / "transformer_encoder.onnx")["lyric_query_scale"] == []
    assert interface(native_bundle / "dcae_decoder.onnx")["latents"] == [1, 8, 16, "frames"]


def test_manifest_tells_the_files(native_bundle: Path) -> None:
    manifest = json.loads((native_bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["form"] == "native"
    assert manifest["erg"] is True
    present = {path.name for path in native_bundle.iterdir()} - {"manifest.json"}
    assert manifest["files"].keys() == present
    for name, facts in manifest["files"].items():
        assert facts["bytes"] == (native_bundle / name).stat().st_size
        assert len(facts["sha256"]) == 64


@pytest.mark.parametrize("prompt", ["one", "two"])
def test_text_encoder(bundle: Path, reference: ReferenceSet, prompt: str) -> None:
    arrays = reference["umt5"]
    inputs = {
        "input_ids": arrays[f"{prompt}.input_ids"],
        "attention_mask": arrays[f"{prompt}.attention_mask"],
    }
    (plain,) = run(bundle / "text_encoder.onnx", **inputs, query_scale=full(1.0))
    assert difference(plain, arrays[f"{prompt}.last_hidden_state"]) <= TEXT_LIMIT


@pytest.mark.parametrize("prompt", ["one", "two"])
def test_weakened_text(native_bundle: Path, reference: ReferenceSet, prompt: str) -> None:
    arrays = reference["umt5"]
    (weakened,) = run(
        native_bundle / "text_encoder.onnx",
        input_ids=arrays[f"{prompt}.input_ids"],
        attention_mask=arrays[f"{prompt}.attention_mask"],
        query_scale=full(0.01),
    )
    assert difference(weakened, arrays[f"{prompt}.last_hidden_state_erg_null"]) <= TEXT_LIMIT


def encode(bundle: Path, reference: ReferenceSet, lyric: str, kind: str) -> list[np.ndarray]:
    arrays, texts = reference["transformer"], reference["umt5"]
    text = texts["one.last_hidden_state_erg_null" if kind == "erg" else "one.last_hidden_state"]
    ids = arrays[f"lyric.{lyric}.ids"]
    return run(
        bundle / "transformer_encoder.onnx",
        encoder_text_hidden_states=np.zeros_like(text) if kind == "null" else text,
        text_attention_mask=texts["one.attention_mask"],
        speaker_embeds=full(0.0, 1, reference.config("transformer")["speaker_embedding_dim"]),
        lyric_token_idx=np.zeros_like(ids) if kind == "null" else ids,
        lyric_mask=arrays[f"lyric.{lyric}.mask"],
        lyric_query_scale=full(0.01 if kind == "erg" else 1.0),
    )


@pytest.mark.parametrize("lyric", LYRICS)
@pytest.mark.parametrize("kind", ["cond", "null"])
def test_context_encoder(bundle: Path, reference: ReferenceSet, lyric: str, kind: str) -> None:
    states, mask = encode(bundle, reference, lyric, kind)
    arrays = reference["transformer"]
    assert difference(states, arrays[f"encode.{lyric}.{kind}"]) <= CONTEXT_LIMIT
    np.testing.assert_array_equal(mask, arrays[f"encode.{lyric}.mask"])


@pytest.mark.parametrize("lyric", LYRICS)
def test_weakened_context(native_bundle: Path, reference: ReferenceSet, lyric: str) -> None:
    states, _ = encode(native_bundle, reference, lyric, "erg")
    assert difference(states, reference["transformer"][f"encode.{lyric}.erg"]) <= CONTEXT_LIMIT


def test_context_of_two(bundle: Path, reference: ReferenceSet) -> None:
    arrays, texts = reference["transformer"], reference["umt5"]
    speaker = arrays["speaker_random"]
    states, mask = run(
        bundle / "transformer_encoder.onnx",
        encoder_text_hidden_states=texts["two.last_hidden_state"],
        text_attention_mask=texts["two.attention_mask"],
        speaker_embeds=np.concatenate([np.zeros_like(speaker), speaker]),
        lyric_token_idx=arrays["encode.batch2.lyric_ids"],
        lyric_mask=arrays["encode.batch2.lyric_mask"],
        lyric_query_scale=full(1.0),
    )
    assert difference(states, arrays["encode.batch2.out"]) <= CONTEXT_LIMIT
    np.testing.assert_array_equal(mask, arrays["encode.batch2.mask"])


def denoise(
    bundle: Path,
    x: np.ndarray,
    context: np.ndarray,
    mask: np.ndarray,
    timestep: np.ndarray,
    query_scale: float = 1.0,
) -> np.ndarray:
    batch, frames = x.shape[0], x.shape[-1]
    (velocity,) = run(
        bundle / "transformer_decoder.onnx",
        hidden_states=x,
        attention_mask=full(1.0, batch, frames),
        encoder_hidden_states=context,
        encoder_hidden_mask=mask,
        timestep=timestep,
        query_scale=full(query_scale, batch),
    )
    return velocity


@pytest.mark.parametrize("call", CALLS)
def test_one_model_call(bundle: Path, reference: ReferenceSet, call: str) -> None:
    arrays = reference["transformer"]
    _, length, timestep = call.removesuffix(".out").split(".", 2)
    velocity = denoise(
        bundle,
        arrays[f"decode.{length}.x"],
        arrays["encode.inst.cond"],
        arrays["encode.inst.mask"],
        full(float(timestep.removeprefix("t")), 1),
    )
    assert difference(velocity, arrays[call]) <= CALL_LIMIT


def test_a_batch_of_two_with_two_timesteps(native_bundle: Path, reference: ReferenceSet) -> None:
    arrays = reference["transformer"]
    velocity = denoise(
        native_bundle,
        arrays["decode.batch2.x"],
        arrays["encode.batch2.out"],
        arrays["encode.batch2.mask"],
        arrays["decode.batch2.timestep"],
    )
    assert difference(velocity, arrays["decode.batch2.out"]) <= CALL_LIMIT


def middle_call(reference: ReferenceSet) -> tuple[np.ndarray, np.ndarray]:
    """The input and timestep that the calls with other contexts were made with."""
    arrays = reference["transformer"]
    length = max(
        (name.split(".")[1] for name in CALLS), key=lambda name: int(name.removeprefix("T"))
    )
    timesteps = sorted(
        float(name.removesuffix(".out").split(".t", 1)[1])
        for name in CALLS
        if name.startswith(f"decode.{length}.")
    )
    return arrays[f"decode.{length}.x"], full(timesteps[len(timesteps) // 2], 1)


def test_no_lyrics_at_all(bundle: Path, reference: ReferenceSet) -> None:
    arrays = reference["transformer"]
    x, timestep = middle_call(reference)
    velocity = denoise(bundle, x, arrays["encode.null.cond"], arrays["encode.null.mask"], timestep)
    assert difference(velocity, arrays["decode.lyric_null.out"]) <= CALL_LIMIT


@pytest.mark.parametrize(("factor", "name"), [(1.0, "plain_out"), (0.01, "erg_out")])
def test_weakened_call(
    native_bundle: Path, reference: ReferenceSet, factor: float, name: str
) -> None:
    arrays = reference["transformer"]
    x, timestep = middle_call(reference)
    velocity = denoise(
        native_bundle, x, arrays["encode.inst.erg"], arrays["encode.inst.mask"], timestep, factor
    )
    assert difference(velocity, arrays[f"decode.erg_context.{name}"]) <= CALL_LIMIT


@pytest.mark.parametrize("length", RAW_MELS)
def test_mel_decoder(bundle: Path, reference: ReferenceSet, length: str) -> None:
    arrays = reference["decode"]
    latents = arrays[f"{length}.latents"]
    fixed = interface(bundle / "dcae_decoder.onnx")["latents"][-1]
    if isinstance(fixed, int) and fixed != latents.shape[-1]:
        with pytest.raises(Exception, match="Got invalid dimensions"):
            run(bundle / "dcae_decoder.onnx", latents=latents)
        return
    scaled = latents / np.float32(LATENT_SCALE) + np.float32(LATENT_SHIFT)
    (mel,) = run(bundle / "dcae_decoder.onnx", latents=scaled)
    kept = arrays.get(f"{length}.mel_frames", np.arange(mel.shape[-1]))
    assert difference(mel[..., kept], arrays[f"{length}.dcae_raw"]) <= DECODE_LIMIT


def test_vocoder(bundle: Path, reference: ReferenceSet) -> None:
    arrays = reference["decode"]
    (waveform,) = run(bundle / "vocoder.onnx", mel=arrays["vocoder.mel"])
    assert difference(waveform, arrays["vocoder.wav"]) <= DECODE_LIMIT


@pytest.mark.parametrize("frames", [1, 2, 129, 300])
def test_masked_frames_and_hidden_contexts_give_numbers(native_bundle: Path, frames: int) -> None:
    """Where everything is masked the attentions give zero, not NaN."""
    shapes = interface(native_bundle / "transformer_decoder.onnx")
    context = np.random.default_rng(0).standard_normal((2, 3, shapes["encoder_hidden_states"][2]))
    mask = full(1.0, 2, frames)
    mask[0, frames // 2 :] = 0
    (velocity,) = run(
        native_bundle / "transformer_decoder.onnx",
        hidden_states=full(0.5, 2, 8, 16, frames),
        attention_mask=mask,
        encoder_hidden_states=context.astype(np.float32),
        encoder_hidden_mask=np.array([[1, 1, 1], [0, 0, 0]], dtype=np.float32),
        timestep=full(500.0, 2),
        query_scale=full(1.0, 2),
    )
    assert np.isfinite(velocity).all()


def test_weights_of_the_decoder_are_plain_matrices(native_bundle: Path) -> None:
    """Quantisers look for MatMul nodes whose right operand is a stored matrix."""
    path = native_bundle / "transformer_decoder.onnx"
    graph = onnx.load(str(path), load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in {"MatMul", "Gemm"}]
    of_weights = [node for node in products if node.input[1] in stored]
    blocks = len({name.split(".")[1] for name in stored if name.startswith("transformer_blocks.")})
    # Four projections of each attention, two of the feed-forward.
    assert sum("transformer_blocks." in node.input[1] for node in of_weights) == 10 * blocks
    read_directly = {node.input[1] for node in of_weights}
    matrices = {t.name for t in graph.initializer if len(t.dims) == 2 and min(t.dims) > 6}
    assert matrices <= read_directly
