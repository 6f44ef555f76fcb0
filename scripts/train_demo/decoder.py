"""The exported latent decoder: the codec's inverse, with rain and vinyl laid over it.

The textures are loops of noise spectra (`LOOP_FRAMES` frames made by the studio's own generators)
whose strength the last two latents set; they add to the music in power. The tone correction of
`tone.py` comes last.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .codec import COMPONENTS, SOFT_FLOOR, TEXTURES, Codec
from .spectrum import BANDS, HOP, log_spectrum
from .studio import rain, vinyl

LOOP_FRAMES = 768
SMOOTHING = 9


def texture_loops() -> torch.Tensor:
    """Log magnitudes [2 textures, 2 channels, 128, LOOP_FRAMES] at strength 1."""
    loops: list[torch.Tensor] = []
    for index, make in enumerate((rain, vinyl)):
        rng = np.random.default_rng(900 + index)
        noise = make((LOOP_FRAMES + 16) * HOP, 1.0, rng)
        bands = log_spectrum(torch.from_numpy(noise))
        loops.append(bands[..., 8 : 8 + LOOP_FRAMES])
    return torch.stack(loops)


class LatentDecoder(nn.Module):
    """latents [1, 8, 16, T] to a log spectrum [1, 2, 128, 8 T]."""

    def __init__(self, codec: Codec, tone: np.ndarray | None = None) -> None:
        super().__init__()
        rows = (codec.basis / codec.scale[:, None]) / codec.weights[None]
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(codec.mean, dtype=torch.float32))
        self.register_buffer("loops", texture_loops())
        flat = np.zeros(BANDS, np.float32)
        self.register_buffer("tone", torch.from_numpy(flat if tone is None else tone)[:, None])
        assert self.loops.shape[0] == len(TEXTURES)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        frames = latents.shape[-1]
        values = latents[0].flatten(0, 1).transpose(0, 1)
        bands = values[:, :COMPONENTS] @ self.rows + self.mean
        music = F.relu(torch.exp(bands) - SOFT_FLOOR)
        music = music.unflatten(1, (2, BANDS, 8)).permute(1, 2, 0, 3).flatten(2, 3)

        strength = (values[:, COMPONENTS:].transpose(0, 1).unsqueeze(1) + 1) / 2
        # Replicated edges, so that a texture neither fades in nor out.
        reach = SMOOTHING // 2
        strength = F.avg_pool1d(F.pad(strength, (reach, reach), mode="replicate"), SMOOTHING, 1)
        strength = strength.clamp(0, 2) * torch.sigmoid((strength - 0.3) * 25)
        strength = strength.unsqueeze(-1).expand(-1, -1, -1, 8).reshape(2, 1, 1, frames * 8)
        index = torch.remainder(torch.arange(frames * 8, device=latents.device), LOOP_FRAMES)
        textures = torch.exp(self.loops.index_select(3, index)) * strength
        power = music.square() + textures.square().sum(dim=0)
        return (0.5 * torch.log(power.clamp_min(1e-10)) + self.tone).unsqueeze(0)
