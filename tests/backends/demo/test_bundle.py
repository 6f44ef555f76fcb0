"""The shipped bundle: complete, small enough, and it makes music as asked."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from lofi_daemon.backends.demo.backend import COMPOSERS, compose_score, demo_backend
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.prompt import Understanding
from lofi_daemon.backends.demo.score import (
    ATTRIBUTES,
    NOTED_TOKENS_PER_BAR,
    TOKENS_PER_BAR,
    tokens_per_bar,
)
from lofi_daemon.backends.demo.words import PLAIN_WORDS
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.bundle import FILES, read_manifest
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.sound.clip import AudioClip

SECONDS = 8.0
STEPS = 6
FIGURES = Path(__file__).with_name("figures.npy")


@pytest.fixture(scope="module")
def pipeline() -> AceStepPipeline:
    return AceStepPipeline(BUNDLE, compose=compose_score)


def track(pipeline: AceStepPipeline, prompt: str, seed: int) -> AudioClip:
    return pipeline.generate(
        GenerationRequest(prompt, SECONDS, seed, options=DiffusionOptions(inference_steps=STEPS))
    )


@pytest.fixture(scope="module")
def clip(pipeline: AceStepPipeline) -> AudioClip:
    return track(pipeline, "rhodes with drums, 80 bpm", 3)


def test_the_bundle_is_whole_and_at_most_25_megabytes() -> None:
    manifest = read_manifest(BUNDLE)
    assert set(manifest.files) >= set(FILES)
    for name, facts in manifest.files.items():
        content = (BUNDLE / name).read_bytes()
        assert len(content) == facts.bytes
        assert hashlib.sha256(content).hexdigest() == facts.sha256
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= 25_000_000


def test_card_and_notice_come_with_it() -> None:
    assert "MIT" in (BUNDLE / "NOTICE").read_text(encoding="utf-8")
    version = json.loads((BUNDLE / "manifest.json").read_text(encoding="utf-8"))["model_version"]
    assert f"version {version}" in (BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_track_has_the_asked_length_and_a_healthy_level(clip: AudioClip) -> None:
    assert clip.samples.shape == (2, round(SECONDS * clip.sample_rate))
    assert np.isfinite(clip.samples).all()
    assert 0.2 < np.abs(clip.samples).max() < 0.95
    assert np.abs(clip.samples.mean(axis=1)).max() < 0.01


def test_no_half_second_before_the_ending_is_silent(clip: AudioClip) -> None:
    body = clip.samples[:, : -2 * clip.sample_rate]
    blocks = body.reshape(2, -1, clip.sample_rate // 2)
    assert np.sqrt((blocks**2).mean(axis=2)).min() > 0.01


def test_the_planned_chords_are_heard(clip: AudioClip) -> None:
    score = compose("rhodes with drums, 80 bpm", 3, SECONDS)
    frames = round(score.bar_frames * 4096 / 44100 * clip.sample_rate / 2)
    ratios: list[float] = []
    for half in range(int(clip.samples.shape[1] // frames)):
        chord = score.bars[half // 2].chords[half % 2]
        piece = clip.samples.mean(axis=0)[half * frames : (half + 1) * frames]
        power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2
        hertz = np.fft.rfftfreq(len(piece), 1 / clip.sample_rate)
        heard = (hertz > 130) & (hertz < 1050)
        pitch = np.round(69 + 12 * np.log2(hertz[heard] / 440)).astype(int) % 12
        energy = np.bincount(pitch, power[heard], minlength=12)
        on = np.isin(np.arange(12), chord.pitch_classes)
        ratios.append(energy[on].mean() / energy[~on].mean())
    assert np.median(ratios) > 1.5


def test_one_seed_is_one_track_and_two_are_two(pipeline: AceStepPipeline, clip: AudioClip) -> None:
    again = track(pipeline, "rhodes with drums, 80 bpm", 3)
    digests = [hashlib.sha256(each.samples.tobytes()).digest() for each in (clip, again)]
    assert digests[0] == digests[1]
    other = track(pipeline, "rhodes with drums, 80 bpm", 4)
    assert abs(np.corrcoef(clip.samples[0], other.samples[0])[0, 1]) < 0.5


def test_the_text_encoder_reads_what_the_prompt_reader_writes(pipeline: AceStepPipeline) -> None:
    flat = [(name, value) for name, values in ATTRIBUTES.items() for value in values]
    random = Random(0)
    for size in (1, 2, 3, 4, 5) * 20:
        asked = dict(random.sample(sorted(PLAIN_WORDS), size))
        tokens = pipeline.text_encoder.tokenize(Understanding(attributes=asked).canonical)
        states = pipeline.text_encoder.encode(tokens, CancelToken()).hidden
        stated = {flat[index] for index in np.flatnonzero(states[0, 0, : len(flat)] > 0.5)}
        assert stated == set(asked.items())


def test_a_refused_piano_is_not_told_to_the_model(pipeline: AceStepPipeline) -> None:
    request = GenerationRequest("rhodes rather than piano, no vinyl", SECONDS, 1)
    assert compose_score(request).text == "electric piano"
    assert compose_score(GenerationRequest("no piano", SECONDS, 1)).text == "music"


def test_a_track_begins_without_a_thump(clip: AudioClip) -> None:
    rate = clip.sample_rate
    assert not clip.samples[:, 0].any()
    first, after = (
        clip.samples[:, : rate * 6 // 100],
        clip.samples[:, rate * 6 // 100 :][:, : rate * 3 // 10],
    )
    assert np.mean(first**2) < 2 * np.mean(after**2)


def texture_levels(seed: int, frames: int = 430) -> NDArray[np.float32]:
    """Log spectrum [2, bands, M] of crackle over a steady sound, 5 to 12 kHz."""
    latents = np.zeros((1, 128, frames), np.float32)
    latents[0, :126, :4] = np.random.default_rng(seed).standard_normal((126, 4))
    latents[:, 126], latents[:, 127] = -1, 1
    session = onnxruntime.InferenceSession(BUNDLE / "dcae_decoder.onnx")
    levels = session.run(None, {"latents": latents.reshape(1, 8, 16, frames)})[0][0, :, 90:125]
    return levels - levels.mean(axis=2, keepdims=True)


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """At every lag, over bands [bands, M]; 1 for the same thing at lag 0."""
    size = 2 * one.shape[-1]
    spectrum = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return np.fft.irfft(spectrum).sum(axis=0) / np.sqrt((one**2).sum() * (other**2).sum())


def test_crackle_never_comes_round_again() -> None:
    first, other = texture_levels(1)[..., 64:], texture_levels(2)[..., 64:]
    again = correlation(first[0], first[0])[60 : first.shape[-1]]
    assert again.max() < 0.1
    assert correlation(first[0], other[0]).max() < 0.12
    assert correlation(first[0], first[1]).max() < 0.6


def test_the_backend_writes_the_score_that_its_bundle_asks_for() -> None:
    request = GenerationRequest("lofi", 30.0, 4)
    name = read_manifest(BUNDLE).score
    assert name is not None
    backend = demo_backend(load_settings({}))
    assert backend._compose is COMPOSERS[name]
    plain, noted = (COMPOSERS[each](request).ids[0].tolist() for each in ("lofi", "lofi-notes"))
    assert tokens_per_bar(plain) == TOKENS_PER_BAR
    assert tokens_per_bar(noted) == NOTED_TOKENS_PER_BAR


def test_an_unknown_word_is_harmless(pipeline: AceStepPipeline) -> None:
    strange = track(pipeline, "qzxv \U0001f3b5 словo 音楽", 5)
    assert np.abs(strange.samples).max() > 0.2


def test_the_track_is_the_one_that_this_version_of_the_model_has_always_made(
    clip: AudioClip,
) -> None:
    """A change of a hundredth in any band of any half-second is another track.

    A track is named by its request and the model's version, so one that sounds otherwise needs a
    new `model_version`; then `python -m tests.backends.demo.test_bundle` writes the figures anew.
    """
    known = np.load(FIGURES)
    np.testing.assert_allclose(figures(clip), known, rtol=0.01, atol=0.01 * float(known.max()) / 30)


def figures(clip: AudioClip) -> NDArray[np.float32]:
    """Magnitude of each half-second, channel and third of an octave: float32 [2, halves, 30]."""
    blocks = clip.samples.reshape(2, -1, clip.sample_rate // 2)
    spectrum = np.abs(np.fft.rfft(blocks * np.hanning(blocks.shape[2])))
    hertz = np.fft.rfftfreq(blocks.shape[2], 1 / clip.sample_rate)
    borders = np.searchsorted(hertz, 20.0 * 2.0 ** (np.arange(31) / 3))
    return np.stack(
        [
            np.sqrt((spectrum[..., low:high] ** 2).sum(axis=2))
            for low, high in itertools.pairwise(borders)
        ],
        axis=2,
    ).astype(np.float32)


if __name__ == "__main__":
    made = AceStepPipeline(BUNDLE, compose=compose_score)
    np.save(FIGURES, figures(track(made, "rhodes with drums, 80 bpm", 3)))
