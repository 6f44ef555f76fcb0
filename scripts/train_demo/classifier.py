"""A classifier of instruments and textures, trained on the synthesised music only.

It judges generated tracks: a small convolutional network reads three seconds of the hybrid log
spectrum at a time and its answers are averaged over a clip. It is a measuring tool and is not in
the bundle.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lofi_daemon.backends.demo.score import ATTRIBUTES, Score, decode

from .flow import ATTRIBUTE_VALUES
from .precision import quick_precision
from .spectrum import log_spectrum
from .studio import rain, vinyl

JUDGED = ("keys", "lead", "kit", "bass", "rain", "vinyl")
PATCH_FRAMES = 256
NOISE_SECONDS = 20
NOISE_VARIANTS = 12


class Classifier(nn.Module):
    """Log spectrum [B, 128, M] (mean of the two channels) to logits of every attribute value."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 24, 48, 64, 96)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, (5, 5), stride=(2, 2), padding=2)
            for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for width in widths[1:])
        self.hidden = nn.Linear(2 * 96 * 8, 128)
        self.head = nn.Linear(128, ATTRIBUTE_VALUES)

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        x = ((bands - bands.mean(dim=(1, 2), keepdim=True)) / 2).unsqueeze(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.gelu(norm(layer(x)))
        pooled = torch.cat([x.mean(dim=3), x.amax(dim=3)], dim=1).flatten(1)
        return self.head(F.gelu(self.hidden(F.dropout(pooled, 0.2, self.training))))


def spans() -> dict[str, slice]:
    """Where each attribute's values lie in the logits."""
    found: dict[str, slice] = {}
    start = 0
    for name, values in ATTRIBUTES.items():
        found[name] = slice(start, start + len(values))
        start += len(values)
    return found


def judge(model: Classifier, bands: torch.Tensor) -> dict[str, str]:
    """The most likely value of every attribute of a clip, [128, M]."""
    starts = range(0, max(1, bands.shape[1] - PATCH_FRAMES + 1), PATCH_FRAMES // 2)
    patches = torch.stack([bands[:, start : start + PATCH_FRAMES] for start in starts])
    with torch.no_grad():
        logits = model(patches)
    found: dict[str, str] = {}
    for name, span in spans().items():
        shares = logits[:, span].log_softmax(dim=1).mean(dim=0)
        found[name] = ATTRIBUTES[name][int(shares.argmax())]
    return found


def mono_bands(audio: np.ndarray) -> torch.Tensor:
    """The classifier's view of audio [2, samples] at 44.1 kHz."""
    return log_spectrum(torch.from_numpy(audio.astype(np.float32))).mean(dim=0)


class Songs:
    """Dry spectra of rendered songs with their scores, and noise to lay over them."""

    def __init__(self, paths: list[Path]) -> None:
        self.bands: list[np.ndarray] = []
        self.scores: list[Score] = []
        for path in paths:
            shard = np.load(path)
            for name in shard.files:
                if name.startswith("bands"):
                    self.bands.append(shard[name])
                    self.scores.append(decode(shard[name.replace("bands", "tokens")].tolist()))
        self.noise = {
            name: [
                log_spectrum(
                    torch.from_numpy(make(NOISE_SECONDS * 44100, 1.0, np.random.default_rng(seed)))
                )[..., 8:-8]
                for seed in range(100, 100 + NOISE_VARIANTS)
            ]
            for name, make in (("rain", rain), ("vinyl", vinyl))
        }

    def draw(self, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Patches [B, 128, PATCH_FRAMES] and value indices [B, attributes], -1 where unheard."""
        patches: list[torch.Tensor] = []
        labels: list[list[int]] = []
        latents = PATCH_FRAMES // 8
        for index in rng.integers(0, len(self.bands), size):
            song, score = self.bands[index], self.scores[index]
            first = int(rng.integers(0, len(song) - latents))
            block = torch.from_numpy(song[first : first + latents].astype(np.float32))
            power = torch.exp(block.permute(1, 2, 0, 3).flatten(2) * 2)
            values = dict(score.attributes)
            for texture in ("rain", "vinyl"):
                values[texture] = str(rng.choice(ATTRIBUTES[texture]))
                if values[texture] == texture:
                    noise = self.noise[texture][rng.integers(NOISE_VARIANTS)]
                    begin = int(rng.integers(0, noise.shape[2] - PATCH_FRAMES))
                    piece = noise[..., begin : begin + PATCH_FRAMES]
                    power = power + torch.exp(2 * piece) * rng.uniform(0.6, 1.4) ** 2
            patches.append(0.5 * torch.log(power + 1e-8).mean(dim=0))
            bars = score.bars[first // score.bar_frames : (first + latents) // score.bar_frames + 1]
            heard = set[str]().union(*(bar.parts for bar in bars))
            labels.append([_label(name, values[name], heard) for name in ATTRIBUTES])
        return torch.stack(patches), torch.tensor(labels)


def _label(name: str, value: str, heard: set[str]) -> int:
    part = {"keys": "keys", "lead": "melody", "kit": "drums", "bass": "bass"}.get(name)
    return ATTRIBUTES[name].index(value) if part is None or part in heard else -1


def classification_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    loss = torch.zeros(())
    for index, name in enumerate(ATTRIBUTES):
        if name in JUDGED:
            loss = loss + F.cross_entropy(
                logits[:, spans()[name]], labels[:, index], ignore_index=-1
            )
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=900)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    songs = Songs(sorted(arguments.data.glob("train-????.npz")))
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, arguments.steps)
    for step in range(arguments.steps):
        patches, labels = songs.draw(rng, 32)
        # Levels and tilt vary, so that timbre and not one mix's balance is learnt.
        tilt = torch.linspace(-1, 1, 128)[None, :, None] * torch.randn(32, 1, 1) * 0.3
        with quick_precision():
            logits = model(patches + tilt)
        loss = classification_loss(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(step + 1, f"{loss.item():.3f}", flush=True)
    torch.save(model.state_dict(), arguments.output)


if __name__ == "__main__":
    main()
