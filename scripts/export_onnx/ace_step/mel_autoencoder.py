"""Both halves of the mel autoencoder (diffusers' ``AutoencoderDC``), fit for export."""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import SanaMultiscaleLinearAttention
from torch import Tensor, nn

from ..assembly import GraphModule
from .attention import DENOMINATOR_FLOOR
from .layers import transpose_weights, weight_dtype


class MelDecoderGraph(GraphModule):
    """The decoder half of the autoencoder: shifted and scaled latents to a mel spectrogram."""

    def __init__(self, dcae: nn.Module):
        super().__init__()
        self.decoder = dcae.decoder

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(latents.to(weight_dtype(self))).float()

    def prepare(self) -> None:
        use_linear_attention(self)
        transpose_weights(self)


class MelEncoderGraph(GraphModule):
    """The encoder half: a mel spectrogram of whole latent frames to latents, neither shifted nor
    scaled."""

    def __init__(self, dcae: nn.Module):
        super().__init__()
        self.encoder = dcae.encoder

    def forward(self, mel_spectrogram: Tensor) -> Tensor:
        return self.encoder(mel_spectrogram.to(weight_dtype(self))).float()

    def prepare(self) -> None:
        use_linear_attention(self)
        transpose_weights(self)


def use_linear_attention(module: nn.Module) -> None:
    """Put the processor that exports well into every attention of ``module``."""
    for part in module.modules():
        if isinstance(part, SanaMultiscaleLinearAttention):
            part.processor = LinearAttentionProcessor()


class LinearAttentionProcessor:
    """The autoencoder's attention in its linear order of products, whatever the size.

    The package's own takes the quadratic order for inputs of a few positions, which is the same
    function, and so needs the size while exporting. And where all features of a query are zero,
    it relies on an added 1e-15, which exporters take for zero; a lower bound survives.
    """

    def __call__(self, attention: SanaMultiscaleLinearAttention, x: Tensor) -> Tensor:
        residual, (batch, _, height, width) = x, x.shape
        rows = x.movedim(1, -1)
        projections = (attention.to_q, attention.to_k, attention.to_v)
        projected = torch.cat([project(rows) for project in projections], dim=-1).movedim(-1, 1)
        scales = [projected, *(scale(projected) for scale in attention.to_qkv_multiscale)]
        heads = torch.cat(scales, dim=1).float()
        heads = heads.reshape(batch, -1, 3 * attention.attention_head_dim, height * width)
        query, key, value = heads.chunk(3, dim=2)
        query, key = query.relu(), key.relu()
        summary = value @ key.transpose(-1, -2)
        weight = key.sum(dim=-1)[:, :, None, :] @ query
        attended = (summary @ query) / torch.clamp(weight, min=DENOMINATOR_FLOOR)
        attended = attended.to(x.dtype).reshape(batch, -1, height, width)
        mixed = attention.to_out(attended.movedim(1, -1))
        if attention.norm_type == "rms_norm":
            mixed = attention.norm_out(mixed).movedim(-1, 1)
        else:
            mixed = attention.norm_out(mixed.movedim(-1, 1))
        return mixed + residual if attention.residual_connection else mixed
