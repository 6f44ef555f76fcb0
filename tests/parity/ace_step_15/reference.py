"""The reference numbers of ACE-Step 1.5, and the checkpoint that they belong to."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.reference_set import ReferenceSet

DEFAULT_FOLDER = Path(__file__).parent / "reference"
REFERENCE = ReferenceSet(Path(os.environ.get("LOFI_TEST_REFERENCE_15", DEFAULT_FOLDER)))
"""The set under test."""

RELATIVE_RMS_LIMIT = 1e-5
MAXIMUM_LIMIT = 1e-4
SILENCE_FRAMES = 15000

_UNSCALED = {"special_token", "special_tokens", "null_condition_emb", "silence_latent"}


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal within what float32 computed in another order allows."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    error = actual.astype(np.float64) - expected
    size = float(np.sqrt(np.mean(expected.astype(np.float64) ** 2)))
    rms = float(np.sqrt(np.mean(error**2))) / size
    largest = float(np.abs(error).max()) / (float(expected.std()) or size)
    assert rms < RELATIVE_RMS_LIMIT, f"relative rms {rms:.2g}"
    assert largest < MAXIMUM_LIMIT, f"maximum {largest:.2g} of the spread"


def draw(name: str, shape: Sequence[int]) -> np.ndarray:
    """The float32 tensor `module/parameter` or `input/…` of the set, a function of its name."""
    seed = REFERENCE.params["weight_seed"]
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], "<u8")))
    normal = generator.standard_normal(tuple(shape), dtype=np.float32)
    kind = name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
    if kind == "bias":
        return normal * np.float32(0.05)
    if kind == "weight_g":
        return np.float32(0.7) + normal * np.float32(0.07)
    if kind in ("alpha", "beta"):
        return normal * np.float32(0.2)
    if kind in _UNSCALED or name.startswith("input/") or name == "text_encoder/embed_tokens.weight":
        return normal
    if kind == "scale_shift_table":
        return normal * np.float32(0.5)
    if len(shape) == 1:
        return np.float32(1.0) + normal * np.float32(0.1)
    return normal * np.float32(1.0 / math.sqrt(math.prod(shape[1:])))


def module_weights(module: str) -> dict[str, np.ndarray]:
    """The tensors of `turbo`, `xl`, `text_encoder` or `vae`, by their names in the checkpoint."""
    shapes = REFERENCE.params["modules"][module]
    tensors = {name: draw(f"{module}/{name}", shape) for name, shape in shapes.items()}
    check = REFERENCE.params["checks"][module]
    assert len(tensors) == check["tensors"]
    total = sum(float(tensor.sum(dtype=np.float64)) for tensor in tensors.values())
    assert abs(total - check["sum"]) < 1e-6 * max(1.0, abs(check["sum"]))
    return tensors


def silence(variant: str) -> np.ndarray:
    """float32 [1, channels, 15000], as the original's file has it."""
    channels = REFERENCE.config(variant)["timbre_hidden_dim"]
    return draw(f"{variant}/silence_latent", (1, channels, SILENCE_FRAMES))


def pipeline_cases() -> dict[str, Any]:
    return json.loads((REFERENCE.folder / "pipeline.json").read_text(encoding="utf-8"))
