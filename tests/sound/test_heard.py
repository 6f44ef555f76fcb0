"""A track that is heard before its end: level, peaks and joins, whatever pieces it comes in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lofi_daemon.player.gain import TARGET_LUFS as PLAYED_LUFS
from lofi_daemon.sound.clip import AudioClip, Samples
from lofi_daemon.sound.heard import GAIN_DB_PER_SEC, TARGET_LUFS, HeardSound, Limiter
from lofi_daemon.sound.loudness import RunningLoudness, integrated_loudness, true_peak
from lofi_daemon.sound.stream import Outline, SoundFacts

RATE = 48000


def music(seconds: float, level: float = 0.3, seed: int = 1) -> Samples:
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * time + hertz) for hertz in (110.0, 277.2, 659.3))
    drums = random.normal(size=time.size) * np.exp(-((time % 0.5) * 30))
    return (level * np.stack([tones / 3 + drums, tones / 3 + 0.7 * drums])).astype(np.float32)


def cut(samples: Samples, *pieces: int) -> list[Samples]:
    edges = np.cumsum((0, *pieces))
    assert edges[-1] == samples.shape[1]
    return [samples[:, a:b] for a, b in itertools.pairwise(edges)]


def heard(samples: Samples, facts: SoundFacts, pieces: list[Samples] | None = None) -> Samples:
    sound = HeardSound(facts)
    parts = [sound.heard(piece) for piece in pieces or [samples]]
    return np.concatenate([*parts, sound.rest()], axis=1)


def facts(frames: int, **known: float) -> SoundFacts:
    return SoundFacts(RATE, 2, frames, **known)


def foretold(samples: Samples, factor: float = 1.0, **known: float) -> SoundFacts:
    """Facts of a sound whose outline is known exactly, but for a factor."""
    running = RunningLoudness(RATE)
    running.add(samples)
    outline = Outline(running.energies * factor, 0.1)
    return SoundFacts(RATE, 2, samples.shape[1], outline=outline, **known)


@pytest.mark.parametrize(
    "pieces", [(48_000, 96_000, 144_000), (287_999, 1), (96_000, 1, 47, 191_952)]
)
def test_it_sounds_alike_in_pieces_of_any_length(pieces: tuple[int, ...]) -> None:
    samples = music(6.0, level=0.6)
    known = foretold(samples, high_pass_hz=25.0, fade_in_sec=0.03)
    whole = heard(samples, known)
    assert whole.shape == samples.shape
    assert np.abs(heard(samples, known, cut(samples, *pieces)) - whole).max() < 1e-5


def test_no_peak_between_samples_is_over_the_ceiling() -> None:
    samples = music(8.0, level=1.5)
    limited = heard(samples, foretold(samples * 0.4))
    assert true_peak(AudioClip(samples * 2, RATE)) > 2.0
    assert true_peak(AudioClip(limited, RATE)) <= 10 ** (-1.0 / 20.0)
    assert true_peak(AudioClip(limited, RATE)) > 10 ** (-1.6 / 20.0)


def test_what_needs_no_limiting_passes_unchanged() -> None:
    samples = music(2.0, level=0.2)
    limiter = Limiter(RATE, 2)
    parts = [limiter.limited(piece) for piece in cut(samples, 30_000, 66_000)]
    np.testing.assert_array_equal(np.concatenate([*parts, limiter.rest()], axis=1), samples)


@pytest.mark.parametrize("factor", [0.1, 1.0, 30.0])
def test_a_foretold_loudness_is_met_from_the_first_second(factor: float) -> None:
    samples = np.concatenate([music(4.0, level=0.02), music(6.0, level=0.06)], axis=1)
    level = heard(samples, foretold(samples, factor), cut(samples, RATE, 9 * RATE))
    # the limiter takes some of the drums away
    assert integrated_loudness(AudioClip(level, RATE)) == pytest.approx(TARGET_LUFS - 0.4, abs=0.4)
    gains = (
        level[0, RATE:-RATE] / np.where(np.abs(samples[0]) < 1e-3, np.inf, samples[0])[RATE:-RATE]
    )
    early, late = (np.median(half[half > 0]) for half in np.split(gains, 2))
    assert late == pytest.approx(early, rel=0.05)
    assert TARGET_LUFS == PLAYED_LUFS


def test_a_silent_beginning_is_not_made_loud() -> None:
    samples = np.concatenate([np.zeros((2, 2 * RATE), np.float32), music(2.0, level=0.1)], axis=1)
    level = heard(samples, foretold(samples), cut(samples, 2 * RATE, 2 * RATE))
    assert np.isfinite(level).all()
    assert np.abs(level).max() <= 1.0


def test_without_a_forecast_it_begins_lower_and_moves_slowly() -> None:
    time = np.arange(16 * RATE) / RATE
    tone = np.where(time < 4, 0.02, 0.05) * np.sin(2 * np.pi * 440 * time)
    samples = np.stack([tone, tone]).astype(np.float32)
    known = facts(samples.shape[1], fade_out_sec=0.0)
    level = heard(samples, known, cut(samples, RATE, 15 * RATE))
    hops = [np.abs(each).reshape(2, -1, RATE // 10).max(axis=(0, 2)) for each in (level, samples)]
    gain_db = 20 * np.log10(hops[0] / hops[1])
    assert np.abs(np.diff(gain_db)).max() <= GAIN_DB_PER_SEC * 0.1 + 0.01
    early = integrated_loudness(AudioClip(level[:, : 2 * RATE], RATE))
    assert early == pytest.approx(TARGET_LUFS - 3.0, abs=0.6)
    late = integrated_loudness(AudioClip(level[:, -RATE:], RATE))
    assert late == pytest.approx(TARGET_LUFS, abs=2.0)


def test_fades_and_length_are_those_of_the_finished_track() -> None:
    samples = np.ones((2, 3 * RATE), np.float32) * 0.1
    # nothing of a constant is left behind the weighting: no loudness, and no gain
    still = Outline(np.zeros(20), 0.1)
    known = SoundFacts(RATE, 2, 2 * RATE, outline=still, fade_in_sec=0.1, fade_out_sec=0.5)
    shape = heard(samples, known)
    assert shape.shape == (2, 2 * RATE)
    assert shape[0, 0] == shape[0, -1] == 0.0
    assert shape[0, RATE] == pytest.approx(0.1)
    assert shape[0, RATE // 20] == pytest.approx(0.05, rel=0.01)
    assert shape[0, -RATE // 4] == pytest.approx(0.05, rel=0.01)
    short = heard(samples[:, :RATE], SoundFacts(RATE, 2, 2 * RATE, outline=still))
    assert short.shape == (2, 2 * RATE)
    assert not short[:, RATE + 1 :].any()


def test_the_running_loudness_of_a_whole_is_the_loudness() -> None:
    samples = music(7.3)
    running = RunningLoudness(RATE)
    assert running.lufs is None
    for piece in cut(samples, 100, 200_000, 150_300):
        running.add(piece)
    assert running.lufs == integrated_loudness(AudioClip(samples, RATE))
