"""Figures of what a listener notices: each tells a good clip from one with the fault."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from scripts.train_demo import listening

RATE = listening.SAMPLE_RATE


def hits(rise_sec: float, leak: float = 0.0) -> tuple[np.ndarray, list[float]]:
    """Noise bursts that rise within `rise_sec`; `leak` of each comes 20 ms earlier."""
    rng = np.random.default_rng(0)
    audio = np.zeros((2, 4 * RATE), np.float32)
    times = [0.3 + 0.4 * index for index in range(8)]
    for time in times:
        begin = round(time * RATE)
        at = np.arange(4000) / RATE
        burst = rng.standard_normal(4000) * np.minimum(1, at / rise_sec) * np.exp(-at / 0.03)
        audio[:, begin : begin + 4000] += burst.astype(np.float32)
        early = begin - round(0.02 * RATE)
        audio[:, early : early + 400] += (leak * rng.standard_normal(400)).astype(np.float32)
    return audio, times


def test_a_slow_attack_is_told_from_a_quick_one() -> None:
    quick = listening.attacks(*hits(0.0005))
    slow = listening.attacks(*hits(0.015))
    assert quick is not None
    assert slow is not None
    assert quick[0] < 3
    assert slow[0] > 2 * quick[0]


def test_a_pre_echo_is_seen() -> None:
    clean, leaking = listening.attacks(*hits(0.0005)), listening.attacks(*hits(0.0005, leak=0.05))
    assert clean is not None
    assert leaking is not None
    assert clean[1] < -45
    assert leaking[1] > clean[1] + 10


def test_nothing_is_said_of_attacks_where_nothing_is_hit() -> None:
    assert listening.attacks(np.zeros((2, RATE), np.float32), []) is None


def test_a_lead_that_vanishes_has_a_wider_spread() -> None:
    score = with_notes(compose("flute", 2, 40), 2)
    rng = np.random.default_rng(0)
    steady = rng.standard_normal((2, 40 * RATE)).astype(np.float32)
    bar = round(score.bar_frames * 4096)
    vanishing = steady.copy()
    for index in range(0, len(score.bars), 2):
        vanishing[:, index * bar : (index + 1) * bar] *= 0.2
    spread, wide = listening.lead_spread(steady, score), listening.lead_spread(vanishing, score)
    assert spread is not None
    assert wide is not None
    assert spread < 0.2
    assert wide > 3


def test_a_thump_at_the_start_is_seen() -> None:
    audio = np.full((2, RATE), 0.1, np.float32)
    assert listening.start_level(audio) == pytest.approx(0, abs=0.1)
    audio[:, : RATE // 100] = 0.9
    assert listening.start_level(audio) > 6


def test_mono_is_told_from_wide() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 2 * RATE))
    mono, wide = listening.width(np.stack([left, left])), listening.width(np.stack([left, right]))
    for band in mono:
        assert mono[band][0] < 1
        assert mono[band][1] > 0.99
        assert wide[band][0] > 60
        assert abs(wide[band][1]) < 0.1


def test_what_comes_round_again_is_seen() -> None:
    rng = np.random.default_rng(0)
    fresh = rng.standard_normal((20, 2000))
    looped = np.tile(rng.standard_normal((20, 500)), 4)
    assert listening.recurrence(fresh) < 0.05
    assert listening.recurrence(looped) > 0.5


def test_hits_with_silence_before_them_are_found_in_the_score() -> None:
    score = with_notes(compose("", 1, 30), 1)
    times = listening.hit_times(score)
    assert len(times) > 8
    assert times == sorted(times)
    assert listening.hit_times(compose("no drums", 1, 30)) == []
