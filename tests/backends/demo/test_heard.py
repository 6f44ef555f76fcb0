"""The bundled model heard while it decodes: in time, as loud as the track, and the same track."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.sound.clip import AudioClip, Samples
from lofi_daemon.sound.heard import HeardSound
from lofi_daemon.sound.loudness import integrated_loudness, true_peak
from lofi_daemon.sound.stream import SoundFacts


class Ear:
    def __init__(self) -> None:
        self.pieces: list[Samples] = []
        self.heard: list[Samples] = []

    def begin(self, facts: SoundFacts) -> None:
        self.facts = facts
        self._sound = HeardSound(facts)

    def hear(self, piece: Samples) -> None:
        self.pieces.append(piece.copy())
        self.heard.append(self._sound.heard(piece))

    def whole(self) -> Samples:
        return np.concatenate([*self.heard, self._sound.rest()], axis=1)


@pytest.fixture(scope="module")
def pipeline() -> AceStepPipeline:
    return AceStepPipeline(BUNDLE, compose=compose_score)


@pytest.mark.parametrize("prompt", ["rhodes with drums, 80 bpm", "solo piano, quiet"])
def test_what_is_heard_is_the_track_to_come(pipeline: AceStepPipeline, prompt: str) -> None:
    request = GenerationRequest(prompt, 9.0, 3, options=DiffusionOptions(inference_steps=8))
    ear = Ear()
    clip = pipeline.generate(request, listener=ear)
    unheard = pipeline.generate(request)
    assert hashlib.sha256(clip.samples).digest() == hashlib.sha256(unheard.samples).digest()
    lengths = [piece.shape[1] / clip.sample_rate for piece in ear.pieces]
    assert 1.03 <= lengths[0] <= 1.2
    assert max(lengths) <= 4.1
    assert sum(lengths) >= 9.0
    expected = np.array(ear.facts.pieces) / clip.sample_rate
    assert expected[0] >= 1.0
    assert sum(expected) >= 9.0
    heard = AudioClip(ear.whole(), clip.sample_rate)
    assert heard.samples.shape == clip.samples.shape
    assert true_peak(heard) <= 10 ** (-1.0 / 20.0)
    loudness, of_the_file = integrated_loudness(heard), integrated_loudness(clip)
    assert loudness is not None
    assert of_the_file is not None
    assert abs(loudness - of_the_file) <= 1.5
    # it is the same music: what differs is a gain and the limiters
    assert np.corrcoef(heard.samples[0], clip.samples[0])[0, 1] > 0.95


def test_the_manifest_weighs_every_row() -> None:
    manifest = read_manifest(BUNDLE)
    assert manifest.mel.loudness_db is not None
    assert len(manifest.mel.loudness_db) == 128
    assert manifest.vocoder.first_frames is not None
    seconds = manifest.vocoder.hop_length / manifest.vocoder.sample_rate
    assert manifest.vocoder.first_frames * seconds >= 1.0
    assert manifest.vocoder.core_frames * seconds <= 4.0
