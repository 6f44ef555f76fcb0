"""Vocoder windows: exact where the vocoder is local, carried over where its phases are free."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.bundle import Manifest, VocoderFacts
from lofi_daemon.backends.kit.mel_diffusion.decode import LatentDecoder
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import TensorSpec

HOP = 512


class LocalVocoder:
    """Each frame's first band, held for a hop."""

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        return [np.repeat(feeds["mel"][:, :1], HOP, axis=2)]


class PairVocoder(LocalVocoder):
    """Takes both channels at once, and nothing else."""

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        assert feeds["mel"].shape[0] == 2
        return super().run(feeds, cancel)


def decoder(
    vocoder: LocalVocoder | ToneVocoder, facts: VocoderFacts, batch: int = 1
) -> LatentDecoder:
    made = LatentDecoder.__new__(LatentDecoder)
    made._vocoder = vocoder  # type: ignore[assignment]
    made._manifest = Manifest(vocoder=facts)
    made._mel_input = TensorSpec("mel", np.float32, (batch, 128, None))
    made._past_inputs = []
    made._at_once = 2
    return made


def sound(made: LatentDecoder, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate(list(made.waveform(mel, lambda done: None, CancelToken())), axis=1)


@pytest.mark.parametrize("frames", [30, 64, 65, 300])
def test_a_local_vocoder_sounds_as_in_one_call(frames: int) -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44)
    mel = np.zeros((2, 128, frames), np.float32)
    mel[:, 0] = np.random.default_rng(0).standard_normal((2, frames))
    found = sound(decoder(LocalVocoder(), facts), mel)
    assert found.shape == (2, frames * HOP)
    np.testing.assert_array_equal(found, np.repeat(mel[:, 0], HOP, axis=1))


def test_a_graph_of_batch_two_gets_both_channels_at_once() -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44)
    mel = np.random.default_rng(0).standard_normal((2, 128, 100)).astype(np.float32)
    found = sound(decoder(PairVocoder(), facts, batch=2), mel)
    np.testing.assert_array_equal(found, np.repeat(mel[:, 0], HOP, axis=1))


class ToneVocoder:
    """A tone whose phase is free at every call, unless the window before handed it on."""

    TURN = 0.3  # radians a mel frame

    def __init__(self) -> None:
        self._rng = np.random.default_rng(2)

    def run(self, feeds: dict[str, NDArray[np.float32]], cancel: CancelToken) -> list[np.ndarray]:
        frames, past = feeds["mel"].shape[2], feeds["past_phase"]
        first = past[0, 0, 0] if past.any() else self._rng.uniform(1, 6)
        phases = (first + self.TURN * np.arange(frames)).astype(np.float32)
        within = np.arange(HOP, dtype=np.float32) / HOP
        sound = np.sin((phases[:, None] + self.TURN * within).reshape(1, 1, -1))
        return [np.repeat(sound, 2, axis=0), phases.reshape(1, 1, -1)]


@pytest.mark.parametrize("frames", [30, 65, 300])
def test_what_a_window_hands_on_carries_a_tone_over_the_border(frames: int) -> None:
    facts = VocoderFacts(receptive_field_frames=10, core_frames=44)
    made = decoder(ToneVocoder(), facts, batch=2)
    made._past_inputs = [TensorSpec("past_phase", np.float32, (1, 1, 12))]
    heard = sound(made, np.zeros((2, 128, frames), np.float32))
    whole = ToneVocoder().run(
        {"mel": np.zeros((2, 128, frames)), "past_phase": np.zeros((1, 1, 12))}, CancelToken()
    )[0][:, 0]
    np.testing.assert_allclose(heard, whole, atol=1e-3)
