"""How far the vocoder reaches, computed and felt."""

from __future__ import annotations

from pathlib import Path

import torch

from scripts.export_onnx.ace_step.checkpoint import VOCODER_FOLDER, load_vocoder
from scripts.export_onnx.ace_step.vocoder import VocoderConfig, receptive_field_frames


def test_published_vocoder() -> None:
    assert receptive_field_frames(VocoderConfig()) == 91


def test_a_change_is_felt_to_the_edge_of_the_field_and_no_further(
    reference_checkpoint: Path,
) -> None:
    vocoder, config = load_vocoder(reference_checkpoint / VOCODER_FOLDER)
    vocoder.double()
    reach = receptive_field_frames(config)
    hop, middle = config.hop_length, reach + 3
    mel = torch.zeros(1, config.input_channels, 2 * middle + 1, dtype=torch.float64)
    changed = mel.clone()
    changed[..., middle] = 1e3
    with torch.no_grad():
        felt = (vocoder(changed) - vocoder(mel)).abs()[0, 0].unflatten(0, (-1, hop)).amax(dim=1)
    frames = felt.nonzero().flatten() - middle
    assert int(frames.abs().max()) <= reach
    assert int(frames.max()) >= reach - 8
    assert int(frames.min()) <= 8 - reach
