"""Sound to latents against the original's way, on diffusers' own autoencoder.

The way (ace-step/ACE-Step at commit d612523, `acestep/music_dcae/music_dcae_pipeline.py`, lines 62
to 112) is written here with PyTorch, and the autoencoder has the weights of the reference set.
Resampling is left out: the original's resampler (torchaudio's) and this project's (soxr) differ
near half of the lower rate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers.audio_utils import mel_filter_bank

from lofi_daemon.backends.kit.mel_diffusion.bundle import Manifest, WindowFacts, read_manifest
from lofi_daemon.backends.kit.mel_diffusion.encode import SoundEncoder
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from scripts.export_onnx.ace_step.checkpoint import DCAE_FOLDER, load_dcae
from tests.parity.reference_set import DECODE_LIMIT, difference

LIMIT = 2e-4
"""Of the whole way, in standard deviations."""
NEVER = CancelToken()


@pytest.fixture(scope="module")
def dcae(reference_checkpoint: Path) -> nn.Module:
    return load_dcae(reference_checkpoint / DCAE_FOLDER)


def ignore(share: float) -> None:
    pass


def music(frames: int) -> np.ndarray:
    time = np.arange(4096 * frames) / 44100
    beat = np.random.default_rng(2).standard_normal((2, time.size)) * np.exp(-8 * (time % 0.5))
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (110.0, 164.8, 277.2))
    return (0.1 * beat + 0.1 * chord).astype(np.float32)


def original(dcae: nn.Module, samples: np.ndarray) -> np.ndarray:
    # In double precision up to the logarithm: in single, a quiet band beside a loud one is off by
    # some percent.
    sound = torch.from_numpy(samples.astype(np.float64))
    padded = torch.nn.functional.pad(sound[None], (768, 768), mode="reflect")[0]
    window = torch.hann_window(2048, dtype=torch.float64)
    spectrum = torch.stft(padded, 2048, 512, window=window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).pow(2).sum(-1) + 1e-6)
    bank = mel_filter_bank(1025, 128, 40.0, 16000.0, 44100, norm="slaney", mel_scale="slaney")
    mel = torch.log(torch.clamp(torch.from_numpy(bank).T @ magnitude, min=1e-5))
    normalised = ((mel.float() + 11.0) / 14.0 - 0.5) / 0.5
    with torch.no_grad():
        latents = dcae.encoder(normalised[None])
    return ((latents + 1.9091) * 0.1786).numpy()


@pytest.mark.parametrize("frames", [1, 5, 128, 131])
def test_the_graph(native_bundle: Path, dcae: nn.Module, frames: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    mel = torch.randn((1, 2, 128, 8 * frames), generator=generator)
    with torch.no_grad():
        expected = dcae.encoder(mel).numpy()
    graph = OnnxModel(native_bundle / "dcae_encoder.onnx", SessionSettings())
    found = graph.run({"mel_spectrogram": mel.numpy()}, NEVER)[0]
    assert found.shape == (1, 8, 16, frames)
    assert difference(found, expected) < DECODE_LIMIT


@pytest.mark.parametrize("frames", [5, 64])
def test_a_sound(native_bundle: Path, dcae: nn.Module, frames: int) -> None:
    samples = music(frames)
    encoder = SoundEncoder(native_bundle, read_manifest(native_bundle), SessionSettings())
    found = encoder.latents(samples, ignore, NEVER)
    assert difference(found, original(dcae, samples)) < LIMIT


def test_windows_come_close_to_the_whole(native_bundle: Path, dcae: nn.Module) -> None:
    """The attention of the deep stages spans a call, so they cannot be exact."""
    samples, shares = music(150), list[float]()
    manifest = Manifest(dcae=WindowFacts(window_frames=64, overlap_frames=32))
    encoder = SoundEncoder(native_bundle, manifest, SessionSettings())
    found = encoder.latents(samples, shares.append, NEVER)
    expected = original(dcae, samples)
    error = np.sqrt(np.mean((found - expected) ** 2)) / expected.std()
    print(f"windows of 64 frames: rms error {error:.4f} of the standard deviation")
    assert error < 0.1
    assert len(shares) == 4
    assert shares[-1] == 1.0


def test_the_published_form_has_none(published_bundle: Path) -> None:
    assert not (published_bundle / "dcae_encoder.onnx").exists()
