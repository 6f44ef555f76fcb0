"""The latent codec: eight spectrum frames of two channels (2048 numbers) as 128 latents.

126 latents are principal components of the soft-floored log spectrum, the low bands weighted up
because they carry the chords. Their scale is tilted (standard deviation to the power one half):
whitened components are mostly noise to a flow model, raw ones let it see only the first few. The
last two latents are the strength of rain and of vinyl; the decoder sounds those textures itself.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .spectrum import BANDS, SECOND

COMPONENTS = 126
TEXTURES = ("rain", "vinyl")
SOFT_FLOOR = 3e-4
"""Added to magnitudes before the logarithm and taken off after: silence costs no components."""
LOW_BAND_WEIGHT = 1.5


@dataclass(frozen=True)
class Codec:
    """`mean` [2048], `basis` [126, 2048] orthonormal, `scale` [126], `weights` [2048]."""

    mean: np.ndarray
    basis: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def encode(self, bands: np.ndarray, textures: np.ndarray) -> np.ndarray:
        """Latents float32 [T, 128] of log bands [T, 2, 128, 8] and texture strengths [2]."""
        frames = soft_floored(bands.astype(np.float32)).reshape(len(bands), -1)
        components = ((frames - self.mean) * self.weights) @ self.basis.T * self.scale
        strengths = np.broadcast_to(2 * textures - 1, (len(bands), 2))
        return np.concatenate([components, strengths], axis=1).astype(np.float32)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Log bands [T, 2, 128, 8] without textures; the reference for the exported decoder."""
        components = latents[:, :COMPONENTS] / self.scale
        frames = (components @ self.basis) / self.weights + self.mean
        magnitude = np.maximum(np.exp(frames) - SOFT_FLOOR, 1e-5)
        return np.log(magnitude).reshape(len(latents), 2, BANDS, 8)

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, basis=self.basis, scale=self.scale, weights=self.weights)

    @staticmethod
    def load(path: Path) -> Codec:
        arrays = np.load(path)
        return Codec(arrays["mean"], arrays["basis"], arrays["scale"], arrays["weights"])


def soft_floored(bands: np.ndarray) -> np.ndarray:
    return np.log(np.exp(bands) + SOFT_FLOOR)


def fit(bands: np.ndarray) -> Codec:
    """Fit the codec to log bands [N, 2, 128, 8]."""
    frames = soft_floored(bands.astype(np.float32)).reshape(len(bands), -1)
    mean = frames.mean(axis=0)
    band_weights = np.ones((2, BANDS, 8), np.float32)
    band_weights[:, : SECOND[0].rows] = LOW_BAND_WEIGHT
    weights = band_weights.reshape(-1)
    centred = (frames - mean) * weights
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    order = np.argsort(variances)[::-1][:COMPONENTS]
    deviations = np.sqrt(variances[order])
    tilted = np.sqrt(deviations)
    scale = tilted / np.sqrt(np.mean(tilted**2)) / deviations
    return Codec(mean, vectors[:, order].T.astype(np.float32), scale.astype(np.float32), weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of rendered shards")
    parser.add_argument("output", type=Path)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--frames", type=int, default=20000)
    arguments = parser.parse_args()
    blocks: list[np.ndarray] = []
    for path in sorted(arguments.folder.glob("train-*.npz"))[: arguments.shards]:
        shard = np.load(path)
        blocks += [shard[name] for name in shard.files if name.startswith("bands")]
    bands = np.concatenate(blocks)
    chosen = np.random.default_rng(0).permutation(len(bands))[: arguments.frames]
    fit(bands[chosen]).save(arguments.output)


if __name__ == "__main__":
    main()
