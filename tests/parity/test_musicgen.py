"""MusicGen against transformers on the same random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lofi_daemon.backends.musicgen.bundle import read_config
from lofi_daemon.backends.musicgen.continuation import Stretch
from lofi_daemon.backends.musicgen.delay_pattern import codebook_delays, delayed
from lofi_daemon.backends.musicgen.encoder import EncodecEncoder
from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
from lofi_daemon.backends.musicgen.tokens import Sampling, generate_tokens
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from scripts.export_onnx.musicgen.verify import (
    reference_codes,
    reference_logits,
    reference_samples,
    verify_decoder,
    verify_shared,
)
from tests import tiny_musicgen

FRAMES = 200
ONE_THREAD = SessionSettings(threads=1)
IDS = np.array([[2, 4, 5, 1]])


def pipeline(form: str, channels: int = 1) -> MusicGenPipeline:
    if form == "published":
        folder = tiny_musicgen.published_folder()
        return MusicGenPipeline(folder, ONE_THREAD)
    return MusicGenPipeline(tiny_musicgen.native_folder(form, channels), ONE_THREAD)


def greedy(loaded: MusicGenPipeline, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Text states and codes."""
    cancel = CancelToken()
    text = loaded.text_encoder.encode(IDS, cancel)
    tokens = generate_tokens(
        loaded.decoder,
        loaded.config.decoder,
        text,
        [Stretch(0, 0, frames)],
        Sampling(seed=0, top_k=1),
        cancel,
    )
    codes = np.concatenate(list(tokens), axis=1)
    return text, codes


@pytest.mark.parametrize(("form", "channels"), [("published", 1), ("fp32", 1), ("fp32", 2)])
def test_greedy_tokens_are_those_of_transformers(form: str, channels: int) -> None:
    """Every token is the most probable one under transformers given all tokens before it."""
    loaded = pipeline(form, channels)
    text, codes = greedy(loaded, FRAMES)
    config = loaded.config.decoder
    delays = codebook_delays(config.num_codebooks, config.audio_channels)
    grid = delayed(codes, FRAMES, delays, config.pad_token_id)
    likeliest = reference_logits(tiny_musicgen.model(channels), text, grid[:, :-1]).argmax(-1)
    drawn = grid[:, 1:] != config.pad_token_id
    assert drawn.sum() == config.num_codebooks * FRAMES
    np.testing.assert_array_equal(grid[:, 1:][drawn], likeliest[drawn])
    assert len(np.unique(codes)) > 8, "a stuck decoder would prove nothing"


@pytest.mark.parametrize("channels", [1, 2])
def test_tokens_after_known_ones_are_those_of_transformers(channels: int) -> None:
    """The known ones stay, and every later one is the most probable after all before it."""
    loaded, cancel = pipeline("fp32", channels), CancelToken()
    config = loaded.config.decoder
    text = loaded.text_encoder.encode(IDS, cancel)
    shape = (config.num_codebooks, 60)
    beginning = np.random.default_rng(8).integers(config.vocab_size, size=shape)
    drawn = generate_tokens(
        loaded.decoder,
        config,
        text,
        [Stretch(0, 60, FRAMES)],
        Sampling(seed=0, top_k=1),
        cancel,
        beginning,
    )
    codes = np.concatenate((beginning, *drawn), axis=1)
    delays = codebook_delays(config.num_codebooks, config.audio_channels)
    grid = delayed(codes, FRAMES, delays, config.pad_token_id)
    likeliest = reference_logits(tiny_musicgen.model(channels), text, grid[:, :-1]).argmax(-1)
    for row, best, delay in zip(grid[:, 1:], likeliest, delays, strict=True):
        new = slice(60 + delay, FRAMES + delay)
        np.testing.assert_array_equal(row[new], best[new])


def sound(channels: int, frames: int) -> np.ndarray:
    time = np.arange(640 * frames) / 32000
    noise = np.random.default_rng(4).standard_normal((channels, time.size))
    tones = [np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 330.0)][:channels]
    return (0.2 * noise * np.exp(-5 * (time % 0.4)) + 0.2 * np.stack(tones)).astype(np.float32)


@pytest.mark.parametrize(("channels", "frames"), [(1, 8), (1, 90), (2, 90)])
def test_tokens_of_the_same_sound(channels: int, frames: int) -> None:
    folder = tiny_musicgen.native_folder("fp32", channels)
    encoder = EncodecEncoder(folder, read_config(folder), ONE_THREAD)
    samples = sound(channels, frames)
    found = encoder.codes(samples, lambda share: None, CancelToken())
    expected = reference_codes(tiny_musicgen.model(channels), samples)
    assert found.shape == (4 * channels, frames)
    # Rounding decides where two entries of a codebook are equally near.
    assert (found == expected).mean() > 0.99
    assert len(np.unique(found)) > 8, "a stuck encoder would prove nothing"


def test_tokens_in_windows_are_those_of_the_whole() -> None:
    folder = tiny_musicgen.native_folder("fp32")
    encoder = EncodecEncoder(folder, read_config(folder), ONE_THREAD)
    samples, shares = sound(1, 1100), list[float]()
    found = encoder.codes(samples, shares.append, CancelToken())
    expected = reference_codes(tiny_musicgen.model(), samples)
    assert len(shares) == 3
    assert shares[-1] == 1.0
    assert (found == expected).mean() > 0.99


def test_generate_of_transformers_gives_the_same_sound() -> None:
    """End to end: its own delay pattern, guidance and EnCodec decode."""
    frames = 16
    loaded = pipeline("fp32")
    _, codes = greedy(loaded, frames)
    with torch.no_grad():
        expected = tiny_musicgen.model().generate(
            input_ids=torch.from_numpy(IDS),
            attention_mask=torch.ones(IDS.shape, dtype=torch.long),
            do_sample=False,
            guidance_scale=3.0,
            max_length=frames + 4,
        )
    actual = loaded.codec.samples(codes, CancelToken())
    assert relative_distance(actual, expected[0].numpy()) < 1e-3


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_of_the_same_tokens(channels: int) -> None:
    loaded = pipeline("fp32", channels)
    config = loaded.config.decoder
    codes = np.random.default_rng(3).integers(config.vocab_size, size=(config.num_codebooks, 90))
    actual = loaded.codec.samples(codes, CancelToken())
    assert actual.shape == (channels, 90 * 640)
    expected = reference_samples(tiny_musicgen.model(channels), codes)
    assert relative_distance(actual, expected) < 1e-3


@pytest.mark.parametrize("form", ["published", "fp32"])
def test_guided_logits(form: str) -> None:
    folder = (
        tiny_musicgen.published_folder()
        if form == "published"
        else tiny_musicgen.native_folder(form)
    )
    verify_shared(tiny_musicgen.model(), folder)
    assert verify_decoder(tiny_musicgen.model(), folder).logit_error < 1e-3


@pytest.mark.parametrize(("precision", "error"), [("int8", 0.03), ("int4", 0.4)])
def test_quantised_logits_stay_close(precision: str, error: float) -> None:
    folder: Path = tiny_musicgen.native_folder(precision)
    found = verify_decoder(tiny_musicgen.model(), folder, precision)
    assert 1e-5 < found.logit_error < error
    assert read_config(folder).decoder.num_codebooks == 4


def relative_distance(actual: np.ndarray, expected: np.ndarray) -> float:
    assert actual.shape == expected.shape
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
