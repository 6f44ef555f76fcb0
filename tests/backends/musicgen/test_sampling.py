"""Guidance and sampling with numbers on paper."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.backends.musicgen.sampling import guided, sample, uniform_draws


def test_guidance_goes_on_from_without_past_with() -> None:
    pair = np.array([[[2.0, 1.0]], [[1.0, 1.0]]], dtype=np.float32)
    assert guided(pair, 3.0).tolist() == [[4.0, 1.0]]


def test_top_1_is_greedy() -> None:
    logits = np.array([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]], dtype=np.float32)
    assert sample(logits, np.array([0.9, 0.9]), top_k=1).tolist() == [1, 0]


def test_a_draw_is_a_point_on_the_cumulative_distribution() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25]], dtype=np.float32))
    tokens = [sample(logits, np.array([draw]), top_k=3)[0] for draw in (0.0, 0.49, 0.51, 0.76)]
    assert tokens == [0, 0, 1, 2]


def test_nothing_below_the_top_k_is_drawn() -> None:
    logits = np.array([[4.0, 3.0, 2.0, 1.0]], dtype=np.float32)
    drawn = {sample(logits, np.array([draw]), top_k=2)[0] for draw in np.linspace(0, 0.999, 50)}
    assert drawn == {0, 1}


def test_frequencies_are_the_softmax_at_a_temperature() -> None:
    logits = np.array([[0.0, 1.0, 2.0, 3.0]], dtype=np.float32)
    draws = uniform_draws(1, 0, 20000, 1)
    tokens = [sample(logits, draw, top_k=4, temperature=2.0)[0] for draw in draws]
    expected = np.exp(logits[0] / 2.0) / np.exp(logits[0] / 2.0).sum()
    np.testing.assert_allclose(np.bincount(tokens, minlength=4) / 20000, expected, atol=0.015)


@given(
    scale=st.floats(0.0, 1e4),
    draw=st.floats(0.0, 1.0, exclude_max=True),
    top_k=st.integers(1, 300),
)
def test_a_token_is_always_one_of_the_vocabulary(scale: float, draw: float, top_k: int) -> None:
    logits = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32) * scale
    tokens = sample(logits.astype(np.float32), np.full(4, draw), top_k=top_k)
    assert tokens.shape == (4,)
    assert ((tokens >= 0) & (tokens < 64)).all()


def test_draws_depend_on_seed_and_window_only() -> None:
    first = uniform_draws(2**64 - 1, 1, 5, 4)
    np.testing.assert_array_equal(first, uniform_draws(2**64 - 1, 1, 5, 4))
    assert not np.array_equal(first, uniform_draws(2**64 - 1, 2, 5, 4))
    assert not np.array_equal(first, uniform_draws(1, 1, 5, 4))
