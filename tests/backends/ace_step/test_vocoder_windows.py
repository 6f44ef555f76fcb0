"""Vocoder windows: exact where the vocoder is local, joined at equal power where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step.bundle import Manifest, VocoderFacts
from lofi_daemon.backends.ace_step.decode import LatentDecoder
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import TensorSpec

HOP = 512


class LocalVocoder:
    """Each frame's first band, held for a hop."""

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        return [np.repeat(feeds["mel"][:, :1], HOP, axis=2)]


class NoiseVocoder:
    """Fresh noise of unit power at every call: two windows never agree."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        frames = feeds["mel"].shape[2]
        return [self._rng.standard_normal((1, 1, frames * HOP)).astype(np.float32)]


class PairVocoder(LocalVocoder):
    """Takes both channels at once, and nothing else."""

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        assert feeds["mel"].shape[0] == 2
        return super().run(feeds, cancel)


def decoder(
    vocoder: LocalVocoder | NoiseVocoder, facts: VocoderFacts, batch: int = 1
) -> LatentDecoder:
    made = LatentDecoder.__new__(LatentDecoder)
    made._vocoder = vocoder  # type: ignore[assignment]
    made._manifest = Manifest(vocoder=facts)
    made._mel_input = TensorSpec("mel", np.float32, (batch, 128, None))
    return made


def sound(made: LatentDecoder, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate(list(made.waveform(mel, lambda done: None, CancelToken())), axis=1)


@pytest.mark.parametrize("join_frames", [0, 8])
@pytest.mark.parametrize("frames", [30, 64, 65, 300])
def test_a_local_vocoder_sounds_as_in_one_call(frames: int, join_frames: int) -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44, join_frames=join_frames)
    mel = np.zeros((2, 128, frames), np.float32)
    mel[:, 0] = np.random.default_rng(0).standard_normal((2, frames))
    found = sound(decoder(LocalVocoder(), facts), mel)
    assert found.shape == (2, frames * HOP)
    if join_frames == 0:
        np.testing.assert_array_equal(found, np.repeat(mel[:, 0], HOP, axis=1))


def test_free_phases_join_without_a_dip() -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44, join_frames=8)
    found = sound(decoder(NoiseVocoder(), facts), np.zeros((2, 128, 300), np.float32))
    power = (found**2).reshape(2, -1, 4 * HOP).mean(axis=(0, 2))
    assert power.min() > 0.85
    assert power.max() < 1.15


def test_a_graph_of_batch_two_gets_both_channels_at_once() -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44)
    mel = np.random.default_rng(0).standard_normal((2, 128, 100)).astype(np.float32)
    found = sound(decoder(PairVocoder(), facts, batch=2), mel)
    np.testing.assert_array_equal(found, np.repeat(mel[:, 0], HOP, axis=1))
