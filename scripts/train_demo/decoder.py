"""The exported latent decoder: the codec's inverse, with rain and vinyl laid over it.

The textures are noise spectra made by the studio's own generators, `STOCK_FRAMES` of each, whose
strength the last two latents set; they add to the music in power. Stretches of `STRETCH_FRAMES`
are taken from anywhere in the stock and pass into each other, so that nothing comes round again:
where from is drawn from the first latents, another order for every track, channel and texture.
The tone correction of `tone.py` comes last.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .codec import COMPONENTS, SOFT_FLOOR, TEXTURES, Codec
from .spectrum import BANDS, HOP, SECOND, FrontEnd, log_spectrum
from .studio import rain, vinyl

STOCK_FRAMES = 768
STRETCH_FRAMES = 80
FADE_FRAMES = 16
SMOOTHING = 9
_PRIME = 2**31 - 1


def scattered(numbers: torch.Tensor) -> torch.Tensor:
    """Whole numbers mixed until nothing is seen of their order: each below 2³¹ − 1."""
    mixed = torch.remainder(numbers, _PRIME)
    for factor in (48271, 69621):
        mixed = torch.remainder(mixed * factor + 11, _PRIME)
        mixed = torch.remainder(mixed * mixed, _PRIME)
    return mixed


def texture_stock(front_end: FrontEnd) -> torch.Tensor:
    """Log magnitudes [2 textures, 2 channels, 128, STOCK_FRAMES] at strength 1."""
    stock: list[torch.Tensor] = []
    for index, make in enumerate((rain, vinyl)):
        rng = np.random.default_rng(900 + index)
        noise = make((STOCK_FRAMES + 16) * HOP, 1.0, rng)
        bands = log_spectrum(torch.from_numpy(noise), front_end)
        stock.append(bands[..., 8 : 8 + STOCK_FRAMES])
    return torch.stack(stock)


class LatentDecoder(nn.Module):
    """latents [1, 8, 16, T] to a log spectrum [1, 2, 128, 8 T]."""

    def __init__(
        self, codec: Codec, tone: np.ndarray | None = None, front_end: FrontEnd = SECOND
    ) -> None:
        super().__init__()
        rows = (codec.basis / codec.scale[:, None]) / codec.weights[None]
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(codec.mean, dtype=torch.float32))
        self.register_buffer("stock", texture_stock(front_end))
        flat = np.zeros(BANDS, np.float32)
        self.register_buffer("tone", torch.from_numpy(flat if tone is None else tone)[:, None])
        assert self.stock.shape[0] == len(TEXTURES)

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
        textures = self.textures(latents[0, 0, :4, 0], frames * 8)
        power = music.square() + (textures * strength.square()).sum(dim=0)
        return (0.5 * torch.log(power.clamp_min(1e-10)) + self.tone).unsqueeze(0)

    def textures(self, first: torch.Tensor, frames: int) -> torch.Tensor:
        """Power [2 textures, 2 channels, 128, frames] at strength 1; first: some latents [4]."""
        # Coarse steps: the same track sounds the same where arithmetic differs in the last digit.
        digits = torch.round(first * 16).to(torch.int64)
        weights = torch.tensor([1, 509, 257_003, 130_000_003], device=first.device)
        seed = scattered((digits * weights).sum() + 2**40)
        time = torch.arange(frames, device=first.device)
        stretch = torch.div(time, STRETCH_FRAMES, rounding_mode="floor")
        within = time - stretch * STRETCH_FRAMES
        rising = ((within.to(torch.float32) + 0.5) / FADE_FRAMES).clamp_max(1)
        leaving = within.clamp_max(FADE_FRAMES - 1) + STRETCH_FRAMES
        room = STOCK_FRAMES - STRETCH_FRAMES - FADE_FRAMES
        rows: list[torch.Tensor] = []
        for texture in range(2):
            for channel in range(2):
                row = torch.exp(2 * self.stock[texture, channel])
                order = seed + 65_537 * (2 * texture + channel)
                entering = torch.remainder(scattered(order + 101 * (stretch + 1)), room) + within
                before = torch.remainder(scattered(order + 101 * stretch), room) + leaving
                rows.append(
                    row.index_select(1, entering) * rising
                    + row.index_select(1, before) * (1 - rising)
                )
        return torch.stack(rows).unflatten(0, (2, 2))
