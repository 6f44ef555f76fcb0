"""From guided logits to tokens. Every draw comes from the request's seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]

TOP_K = 250
TEMPERATURE = 1.0
GUIDANCE_SCALE = 3.0


def uniform_draws(seed: int, window: int, steps: int, codebooks: int) -> NDArray[np.float64]:
    """One number in [0, 1) for every token of a window, float64 [steps, codebooks].

    Philox keyed by (seed, window): equal keys give equal numbers on every platform.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, window], dtype=np.uint64)))
    return generator.random((steps, codebooks))


def guided(logits: Logits, scale: float) -> Logits:
    """Classifier-free guidance: without + scale · (with − without).

    logits: float32 [2, K, V], with the prompt first. Returns [K, V].
    """
    with_prompt, without = logits
    return without + np.float32(scale) * (with_prompt - without)


def sample(
    logits: Logits,
    draws: NDArray[np.float64],
    *,
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
) -> NDArray[np.int64]:
    """One token a codebook, int64 [K], among the top_k most probable ones.

    logits: float32 [K, V]; draws: float64 [K] in [0, 1), turned into tokens by the inverse of the
    cumulative distribution. top_k = 1 is greedy.
    """
    if top_k == 1:
        return logits.argmax(axis=1)
    top_k = min(top_k, logits.shape[1])
    # Sorted by token, so that the order within the partition cannot change what a draw means.
    candidates = np.sort(np.argpartition(logits, -top_k, axis=1)[:, -top_k:], axis=1)
    scores = np.take_along_axis(logits, candidates, axis=1).astype(np.float64) / temperature
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    cumulative = weights.cumsum(axis=1)
    chosen = (cumulative <= draws[:, None] * cumulative[:, -1:]).sum(axis=1).clip(max=top_k - 1)
    return np.take_along_axis(candidates, chosen[:, None], axis=1)[:, 0]
