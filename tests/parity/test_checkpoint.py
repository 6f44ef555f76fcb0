"""Weights are rebuilt as they were, and loaded strictly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scripts.export_onnx.ace_step.checkpoint import (
    DCAE_FOLDER,
    TRANSFORMER_FOLDER,
    VOCODER_FOLDER,
    CheckpointError,
    load_checkpoint,
    load_dcae,
    load_transformer,
    load_vocoder,
)
from scripts.export_onnx.ace_step.vocoder import IGNORED_TENSORS
from scripts.export_onnx.reference_checkpoint import FOLDERS, WEIGHTS_FILE
from scripts.export_onnx.weight_rule import draw
from tests.parity.reference_set import ReferenceSet


@pytest.mark.parametrize("module", ["umt5", "transformer", "dcae", "vocoder"])
def test_weights_are_the_reference_s(reference: ReferenceSet, module: str) -> None:
    seed, shapes = reference.params["weight_seed"], reference.params["modules"][module]
    checks = reference.params["checks"][module]
    tensors = {name: draw(seed, f"{module}/{name}", shape) for name, shape in shapes.items()}
    assert len(tensors) == checks["tensors"]
    assert sum(tensor.size for tensor in tensors.values()) == checks["elements"]
    doubles = [tensor.astype(np.float64) for tensor in tensors.values()]
    assert sum(float(d.sum()) for d in doubles) == pytest.approx(checks["sum"], rel=1e-9)
    squares = sum(float((d * d).sum()) for d in doubles)
    assert squares == pytest.approx(checks["sum_of_squares"], rel=1e-9)
    for name, values in checks["first_values"].items():
        np.testing.assert_allclose(tensors[name].ravel()[: len(values)], values, rtol=1e-6)


def test_all_four_models_load(reference_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(reference_checkpoint)
    for model in (
        checkpoint.text_encoder,
        checkpoint.transformer,
        checkpoint.dcae,
        checkpoint.vocoder,
    ):
        assert not model.training
        assert all(not tensor.is_meta for tensor in model.state_dict().values())


@pytest.fixture
def copied(reference_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to damage."""
    return Path(shutil.copytree(reference_checkpoint, tmp_path / "checkpoint"))


def change_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    """Replace, add or, with None, remove tensors; ``__`` stands for a dot."""
    weights = load_file(folder / WEIGHTS_FILE)
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    save_file(weights, folder / WEIGHTS_FILE)


def test_a_missing_tensor_is_named(copied: Path) -> None:
    change_weights(copied / TRANSFORMER_FOLDER, speaker_embedder__bias=None)
    with pytest.raises(CheckpointError, match=r"missing: speaker_embedder\.bias"):
        load_transformer(copied / TRANSFORMER_FOLDER)


def test_an_unexpected_tensor_is_named(copied: Path) -> None:
    change_weights(copied / DCAE_FOLDER, decoder__extra=torch.zeros(3))
    with pytest.raises(CheckpointError, match=r"unexpected: decoder\.extra"):
        load_dcae(copied / DCAE_FOLDER)


def test_a_misshapen_tensor_is_named(copied: Path) -> None:
    change_weights(copied / VOCODER_FOLDER, head__conv_post__bias=torch.zeros(2))
    with pytest.raises(CheckpointError, match=r"head\.conv_post\.bias \(2,\), expected \(1,\)"):
        load_vocoder(copied / VOCODER_FOLDER)


def test_a_missing_config_is_named(copied: Path) -> None:
    (copied / VOCODER_FOLDER / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"music_vocoder.config\.json is missing"):
        load_vocoder(copied / VOCODER_FOLDER)


def test_missing_weights_are_named(copied: Path) -> None:
    (copied / VOCODER_FOLDER / WEIGHTS_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"neither a \.safetensors nor a \.bin"):
        load_vocoder(copied / VOCODER_FOLDER)


def test_the_vocoder_s_mel_buffers_are_let_pass(copied: Path) -> None:
    buffers = {name.replace(".", "__"): torch.zeros(4) for name in IGNORED_TENSORS}
    change_weights(copied / VOCODER_FOLDER, **buffers)
    load_vocoder(copied / VOCODER_FOLDER)


def test_new_names_of_weight_norm_and_pickled_weights_load_alike(copied: Path) -> None:
    folder = copied / VOCODER_FOLDER
    before, _ = load_vocoder(folder)
    renamed = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in load_file(folder / WEIGHTS_FILE).items()
    }
    torch.save(renamed, folder / "diffusion_pytorch_model.bin")
    (folder / WEIGHTS_FILE).unlink()
    after, _ = load_vocoder(folder)
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


def test_half_precision_checkpoints_are_widened(copied: Path) -> None:
    folder = copied / TRANSFORMER_FOLDER
    weights = load_file(folder / WEIGHTS_FILE)
    save_file({n: t.bfloat16() for n, t in weights.items()}, folder / WEIGHTS_FILE)
    model = load_transformer(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_every_module_has_its_folder(reference: ReferenceSet) -> None:
    assert FOLDERS.keys() == reference.params["modules"].keys()
