"""Windowed decoding: no seam is heard, and a butt join would be."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.backends.kit.mel_diffusion.decode import LatentDecoder
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.windows import Window, kept_spans, snug_windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from tests.tiny_bundle import tiny_bundle

NEVER = CancelToken()
SAMPLE_RATE = 44100
AROUND_BORDER = round(0.005 * SAMPLE_RATE)


def ignore(share: float) -> None:
    pass


@pytest.fixture(scope="module")
def decoder() -> LatentDecoder:
    return AceStepPipeline(tiny_bundle()).decoder


def smooth_latents(frames: int) -> np.ndarray:
    """Latents that move as slowly as music's do, float32 [1, 8, 16, frames], unit variance."""
    noise = np.random.default_rng(frames).standard_normal((1, 8, 16, frames + 32))
    window = np.hanning(33) / np.sqrt((np.hanning(33) ** 2).sum())
    smoothed = np.apply_along_axis(np.convolve, 3, noise, window, "valid")
    return smoothed.astype(np.float32)


def borders(decoder: LatentDecoder, frames: int) -> list[int]:
    """Samples at which any two windows meet."""
    facts, vocoder = decoder._manifest.dcae, decoder._manifest.vocoder
    reach = vocoder.receptive_field_frames
    in_latents = snug_windows(frames, facts.window_frames, facts.overlap_frames)
    size = vocoder.core_frames + 2 * reach
    in_mel = snug_windows(8 * frames, size, 2 * reach)
    return [span.start * 4096 for span in kept_spans(in_latents)[1:]] + [
        span.start * 512 for span in kept_spans(in_mel)[1:]
    ]


def border_energy(waveform: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Energy of the second difference in ±5 ms around each position."""
    square = (np.diff(waveform, 2, axis=1) ** 2).sum(axis=0)
    total = np.cumsum(np.concatenate(([0.0], square)))
    low = np.clip(positions - AROUND_BORDER, 0, square.size)
    high = np.clip(positions + AROUND_BORDER, 0, square.size)
    return total[high] - total[low]


def elsewhere(waveform: np.ndarray, positions: list[int]) -> np.ndarray:
    """The same energy at places away from every border and from both ends."""
    grid = np.arange(4 * AROUND_BORDER, waveform.shape[1] - 4 * AROUND_BORDER, 97)
    distance = np.abs(grid[:, None] - np.array([*positions, -1])[None, :]).min(axis=1)
    return border_energy(waveform, grid[distance > 2 * AROUND_BORDER])


def joined(pieces: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(pieces), axis=1)


@pytest.mark.parametrize("seconds", [10, 60, 240])
def test_no_border_stands_out(decoder: LatentDecoder, seconds: int) -> None:
    latents = smooth_latents(frames_for(seconds))
    sound = joined(decoder.waveform(decoder.mel(latents, ignore, NEVER), ignore, NEVER))
    assert sound.shape == (2, latents.shape[-1] * 4096)
    positions = borders(decoder, latents.shape[-1])
    assert seconds == 10 or len(positions) >= 4
    usual = elsewhere(sound, positions)
    there = border_energy(sound, np.array(positions, dtype=int))
    assert (there >= usual.min()).all(), (there, usual.min())
    assert (there <= usual.max()).all(), (there, usual.max())


def test_butt_joined_windows_stand_out(decoder: LatentDecoder) -> None:
    """The check above finds windows that were decoded without what lies beside them."""
    mel = decoder.mel(smooth_latents(frames_for(60)), ignore, NEVER)
    size = decoder._manifest.vocoder.core_frames
    starts = range(0, mel.shape[-1], size)
    sound = np.concatenate(
        [
            joined(decoder.waveform(mel[..., start : start + size], ignore, NEVER))
            for start in starts
        ],
        axis=1,
    )
    positions = [start * 512 for start in starts][1:]
    usual = elsewhere(sound, positions)
    there = border_energy(sound, np.array(positions))
    assert ((there < usual.min()) | (there > usual.max())).any()


def test_vocoder_windows_equal_one_call(decoder: LatentDecoder) -> None:
    mel = decoder.mel(smooth_latents(200), ignore, NEVER)
    whole = [
        decoder._vocoder.run({decoder._mel_input.name: channel[None]}, NEVER)[0].reshape(-1)
        for channel in mel
    ]
    sound = joined(decoder.waveform(mel, ignore, NEVER))
    assert np.abs(sound - np.stack(whole)).max() < 1e-5 * np.std(whole)


def test_every_window_is_reported_and_can_be_the_last(decoder: LatentDecoder) -> None:
    shares: list[float] = []
    mel = decoder.mel(smooth_latents(600), shares.append, NEVER)
    assert shares == [1 / 3, 2 / 3, 1.0]
    shares.clear()
    pieces = decoder.waveform(mel, shares.append, NEVER)
    next(pieces)
    assert len(shares) == 1


def test_a_window_without_numbers_is_decoded_again_with_other_borders(
    decoder: LatentDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    decode_once = decoder._call_dcae

    def losing_the_second(latents: np.ndarray, cancel: CancelToken) -> np.ndarray:
        calls.append(latents.shape[-1])
        mel = decode_once(latents, cancel)
        return np.full_like(mel, np.nan) if len(calls) == 2 else mel

    monkeypatch.setattr(decoder, "_call_dcae", losing_the_second)
    mel = decoder.mel(smooth_latents(400), ignore, NEVER)
    assert np.isfinite(mel).all()
    assert calls == [232, 232, 182, 182, 182]


def test_windows_that_stay_without_numbers_are_an_error_with_the_place(
    decoder: LatentDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lofi_daemon.errors import ModelInferenceFailed

    def broken(latents: np.ndarray, cancel: CancelToken) -> np.ndarray:
        return np.full((2, 128, latents.shape[-1] * 8), np.nan, dtype=np.float32)

    monkeypatch.setattr(decoder, "_call_dcae", broken)
    with pytest.raises(ModelInferenceFailed, match="DCAE decoder gave NaN or Inf at latent frames"):
        decoder.mel(smooth_latents(40), ignore, NEVER)


def test_windows_are_spread_as_the_decoder_expects() -> None:
    assert snug_windows(600, 256, 64) == [Window(0, 243), Window(178, 421), Window(357, 600)]


def test_both_channels_are_decoded_at_once(
    decoder: LatentDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call waits for another one: one after another, they would wait for ever."""
    meeting = threading.Barrier(2, timeout=60.0)
    run_vocoder = decoder._vocoder.run

    def vocoder(feeds: dict[str, np.ndarray], cancel: CancelToken) -> list[np.ndarray]:
        meeting.wait()
        return run_vocoder(feeds, cancel)

    mel = decoder.mel(smooth_latents(400), ignore, NEVER)
    expected = joined(decoder.waveform(mel, ignore, NEVER))
    monkeypatch.setattr(decoder, "_at_once", 2)
    monkeypatch.setattr(decoder._vocoder, "run", vocoder)
    np.testing.assert_array_equal(joined(decoder.waveform(mel, ignore, NEVER)), expected)


def test_a_graph_of_one_channel_leaves_a_thread_to_each_caller() -> None:
    """Both callers and the session's own threads are as many as are allowed."""
    settings = SessionSettings(threads=4, arena=False)
    alone = LatentDecoder(tiny_bundle(), read_manifest(tiny_bundle()), settings)
    assert alone._at_once == 2
    assert alone._vocoder.settings.threads == 3
    assert alone._dcae.settings.threads == 4
    together = LatentDecoder(BUNDLE, read_manifest(BUNDLE), settings)
    assert together._vocoder.settings.threads == 4
