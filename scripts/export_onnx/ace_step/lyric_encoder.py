"""The lyric encoder: pre-norm blocks of attention with relative positions.

Called a conformer in the original, though it is run without convolution module and without the
macaron half. Attention with relative positions follows Dai et al., Transformer-XL,
arXiv:1901.02860, section 3.3, with positions on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Projection, attention_bias

WEAKENED_BLOCKS = (4, 5)
"""The blocks whose queries the guidance by weakened conditions (ERG) scales."""

NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class LyricEncoderConfig:
    """Sizes that the published checkpoint's config.json does not mention."""

    output_size: int = 1024
    attention_heads: int = 16
    linear_units: int = 4096
    num_blocks: int = 6


def relative_sinusoids(length: Tensor | int, width: int) -> Tensor:
    """Sinusoids of the offsets length − 1 … −(length − 1), shape ``(2·length − 1, width)``.

    Sine at even columns, cosine at odd ones, wavelengths from 2π to 10000·2π.
    """
    offsets = torch.arange(2 * length - 1, dtype=torch.float32)
    offsets = (length - 1) - offsets
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    angles = offsets[:, None] * rates[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def align_relative_scores(scores: Tensor) -> Tensor:
    """From scores by offset to scores by key: ``(B, H, L, 2L − 1)`` to ``(B, H, L, L)``.

    Column c of the input belongs to offset L − 1 − c; entry (i, j) of the result is the score
    of offset i − j. A row is shifted against the one above by padding and reinterpreting.
    """
    batch, heads, length, offsets = scores.shape
    padded = F.pad(scores, (1, 0)).reshape(batch, heads, offsets + 1, length)
    return padded[:, :, 1:].reshape(batch, heads, length, offsets)[..., :length]


class RelativeAttention(nn.Module):
    """Self-attention whose scores add a term for the offset between query and key."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.linear_q = Projection(width, width)
        self.linear_k = Projection(width, width)
        self.linear_v = Projection(width, width)
        self.linear_out = Projection(width, width)
        self.linear_pos = Projection(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(heads, self.head_width))
        self.pos_bias_v = nn.Parameter(torch.empty(heads, self.head_width))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, self.head_width)

    def forward(
        self, x: Tensor, mask: Tensor, sinusoids: Tensor, query_scale: Tensor | None
    ) -> Tensor:
        """``x`` ``(B, L, D)``, ``mask`` ``(B, L)``, ``sinusoids`` ``(2L − 1, D)``."""
        query = self.linear_q(x)
        if query_scale is not None:
            query = query * query_scale
        query = self._split(query)
        key = self._split(self.linear_k(x)).transpose(1, 2)
        value = self.linear_v(x) * mask[:, :, None].to(x.dtype)
        value = self._split(value).transpose(1, 2)
        offset_key = self._split(self.linear_pos(sinusoids)[None]).transpose(1, 2)

        by_content = (query + self.pos_bias_u).transpose(1, 2) @ key.transpose(-2, -1)
        by_offset = (query + self.pos_bias_v).transpose(1, 2) @ offset_key.transpose(-2, -1)
        scores = (by_content + align_relative_scores(by_offset)) / math.sqrt(self.head_width)
        weights = torch.softmax(scores.float() + attention_bias(mask, torch.float32), dim=-1)
        attended = weights.to(x.dtype) @ value
        return self.linear_out(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear maps with SiLU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.w_1 = Projection(width, hidden)
        self.w_2 = Projection(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.silu(self.w_1(x)))


class LyricBlock(nn.Module):
    """Attention, then feed-forward, each behind its own LayerNorm and added to the stream."""

    def __init__(self, config: LyricEncoderConfig):
        super().__init__()
        self.self_attn = RelativeAttention(config.output_size, config.attention_heads)
        self.feed_forward = FeedForward(config.output_size, config.linear_units)
        self.norm_ff = nn.LayerNorm(config.output_size, eps=NORM_EPSILON)
        self.norm_mha = nn.LayerNorm(config.output_size, eps=NORM_EPSILON)

    def forward(
        self, x: Tensor, mask: Tensor, sinusoids: Tensor, query_scale: Tensor | None
    ) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), mask, sinusoids, query_scale)
        return x + self.feed_forward(self.norm_ff(x))


class InputEmbedding(nn.Module):
    """Linear map and LayerNorm (``out``), then a factor of sqrt(width)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.out = nn.Sequential(Projection(inputs, width), nn.LayerNorm(width, eps=NORM_EPSILON))
        self.factor = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) * self.factor


class LyricEncoder(nn.Module):
    """Embedded lyric tokens ``(B, L, inputs)`` to contextual states ``(B, L, output_size)``."""

    def __init__(self, inputs: int, config: LyricEncoderConfig):
        super().__init__()
        self.width = config.output_size
        self.embed = InputEmbedding(inputs, config.output_size)
        self.encoders = nn.ModuleList(LyricBlock(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(config.output_size, eps=NORM_EPSILON)

    def forward(self, x: Tensor, mask: Tensor, query_scale: Tensor | None = None) -> Tensor:
        """Encode ``x`` under ``mask`` ``(B, L)``; ``query_scale`` is a scalar or None for 1."""
        sinusoids = relative_sinusoids(x.shape[1], self.width).to(x.dtype)
        x = self.embed(x)
        for index, block in enumerate(self.encoders):
            x = block(x, mask, sinusoids, query_scale if index in WEAKENED_BLOCKS else None)
        return self.after_norm(x)
