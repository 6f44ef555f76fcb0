"""Seeded weights: every tensor is a function of a seed and its name.

The same rule, in numpy alone, rebuilds the weights of the reference numbers and fills the tiny
test models. A tensor's values come from a Philox generator keyed by the SHA-256 digest of
``seed:name``; its scale follows from the kind of tensor, so that a random model neither dies
out nor blows up.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

EMBEDDINGS = ("umt5/shared.weight", "transformer/lyric_embs.weight")


def draw(seed: str, name: str, shape: Sequence[int]) -> np.ndarray:
    """The float32 tensor ``name`` (``module/parameter`` or ``input/…``) of the given shape."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], "<u8")))
    normal = generator.standard_normal(tuple(shape), dtype=np.float32)
    kind = name.rsplit(".", 1)[-1]
    if kind == "bias":
        return normal * np.float32(0.05)
    if kind == "weight_g":
        return np.float32(1.3) + normal * np.float32(0.13)
    if len(shape) == 1:
        return np.float32(1.0) + normal * np.float32(0.1)
    if name in EMBEDDINGS or name.startswith("input/"):
        return normal
    return normal * np.float32(1.0 / math.sqrt(math.prod(shape[1:])))
