"""The PyTorch modules against the reference's numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.export_onnx.ace_step.checkpoint import Checkpoint, load_checkpoint
from scripts.export_onnx.ace_step.text_encoder import TextEncoderGraph
from tests.parity.reference_set import (
    CALL_LIMIT,
    CONTEXT_LIMIT,
    DECODE_LIMIT,
    REFERENCE,
    TEXT_LIMIT,
    ReferenceSet,
    difference,
)

LATENT_SCALE, LATENT_SHIFT = 0.1786, -1.9091
LYRICS = sorted(
    {m[1] for name in REFERENCE["transformer"] if (m := re.match(r"encode\.(\w+)\.cond$", name))}
)
CALLS = sorted(
    name for name in REFERENCE["transformer"] if re.match(r"decode\.T\d+\.t[\d.]+\.out$", name)
)
RAW_MELS = sorted(
    m[1] for name in REFERENCE["decode"] if (m := re.match(r"(T\d+)\.dcae_raw$", name))
)


@pytest.fixture(scope="module")
def checkpoint(reference_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(reference_checkpoint)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


@pytest.mark.parametrize("prompt", ["one", "two"])
def test_text_encoder(reference: ReferenceSet, reference_checkpoint: Path, prompt: str) -> None:
    arrays = reference["umt5"]
    graph = TextEncoderGraph(load_checkpoint(reference_checkpoint).text_encoder)
    ids, mask = tensor(arrays[f"{prompt}.input_ids"]), tensor(arrays[f"{prompt}.attention_mask"])
    plain = graph(ids, mask).numpy()
    assert difference(plain, arrays[f"{prompt}.last_hidden_state"]) <= TEXT_LIMIT
    weakened = graph(ids, mask, torch.tensor(0.01)).numpy()
    assert difference(weakened, arrays[f"{prompt}.last_hidden_state_erg_null"]) <= TEXT_LIMIT


@pytest.mark.parametrize("lyric", LYRICS)
@pytest.mark.parametrize("kind", ["cond", "null", "erg"])
def test_context_encoder(
    reference: ReferenceSet, checkpoint: Checkpoint, lyric: str, kind: str
) -> None:
    arrays, texts = reference["transformer"], reference["umt5"]
    text = texts["one.last_hidden_state_erg_null" if kind == "erg" else "one.last_hidden_state"]
    ids = arrays[f"lyric.{lyric}.ids"]
    zeroed = 0 if kind == "null" else 1
    states, mask = checkpoint.transformer.encode(
        tensor(text * np.float32(zeroed)),
        tensor(texts["one.attention_mask"]),
        torch.zeros(1, reference.config("transformer")["speaker_embedding_dim"]),
        tensor(ids * zeroed),
        tensor(arrays[f"lyric.{lyric}.mask"]),
        torch.tensor(0.01) if kind == "erg" else None,
    )
    assert difference(states.numpy(), arrays[f"encode.{lyric}.{kind}"]) <= CONTEXT_LIMIT
    np.testing.assert_array_equal(mask.numpy(), arrays[f"encode.{lyric}.mask"])


@pytest.mark.parametrize("call", CALLS)
def test_one_model_call(reference: ReferenceSet, checkpoint: Checkpoint, call: str) -> None:
    arrays = reference["transformer"]
    _, length, timestep = call.removesuffix(".out").split(".", 2)
    x = tensor(arrays[f"decode.{length}.x"])
    velocity = checkpoint.transformer.decode(
        x,
        torch.ones(1, x.shape[-1]),
        tensor(arrays["encode.inst.cond"]),
        tensor(arrays["encode.inst.mask"]),
        torch.tensor([float(timestep.removeprefix("t"))]),
    )
    assert difference(velocity.numpy(), arrays[call]) <= CALL_LIMIT


def test_a_batch_of_two_with_two_timesteps(reference: ReferenceSet, checkpoint: Checkpoint) -> None:
    arrays = reference["transformer"]
    x = tensor(arrays["decode.batch2.x"])
    velocity = checkpoint.transformer.decode(
        x,
        torch.ones(2, x.shape[-1]),
        tensor(arrays["encode.batch2.out"]),
        tensor(arrays["encode.batch2.mask"]),
        tensor(arrays["decode.batch2.timestep"]),
    )
    assert difference(velocity.numpy(), arrays["decode.batch2.out"]) <= CALL_LIMIT


@pytest.mark.parametrize("length", RAW_MELS)
def test_mel_decoder(reference: ReferenceSet, checkpoint: Checkpoint, length: str) -> None:
    arrays = reference["decode"]
    latents = tensor(arrays[f"{length}.latents"]) / LATENT_SCALE + LATENT_SHIFT
    mel = checkpoint.dcae.decoder(latents).numpy()
    kept = arrays.get(f"{length}.mel_frames", np.arange(mel.shape[-1]))
    assert difference(mel[..., kept], arrays[f"{length}.dcae_raw"]) <= DECODE_LIMIT


def test_vocoder(reference: ReferenceSet, checkpoint: Checkpoint) -> None:
    arrays = reference["decode"]
    features = checkpoint.vocoder.backbone(tensor(arrays["vocoder.mel"]))
    assert difference(features.numpy(), arrays["vocoder.backbone"]) <= DECODE_LIMIT
    waveform = checkpoint.vocoder.head(features).numpy()
    assert difference(waveform, arrays["vocoder.wav"]) <= DECODE_LIMIT
