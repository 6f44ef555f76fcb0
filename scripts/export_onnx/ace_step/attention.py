"""The two attentions of the diffusion transformer, and their rotary position embedding.

The embedding (Su et al., arXiv:2104.09864) has a quirk that trained weights depend on: its
tables list every rate twice, one half after the other, but the pairs it turns are neighbours.
Elements 2i and 2i + 1 of a head are therefore turned by *different* angles: column j of the
tables has the rate with index j mod (head width / 2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers import Projection

DENOMINATOR_FLOOR = 1e-15
"""Keeps 0/0 away where no query feature is positive; the original adds it, to the same effect."""


class RotaryTables(NamedTuple):
    """Cosine and sine for the even and for the odd elements of a head.

    All four have shape ``(positions, 1, head_width / 2)`` or ``(batch, positions, 1, …)``; the
    axis of length one is that of the heads. A factor that belongs to a whole vector (frame
    mask, softmax scale, ERG factor) costs nothing when it is multiplied into the tables.
    """

    even_cos: Tensor
    even_sin: Tensor
    odd_cos: Tensor
    odd_sin: Tensor

    @staticmethod
    def build(positions: int, head_width: int, theta: float) -> RotaryTables:
        """Tables of positions 0, 1, … in float32."""
        columns = torch.arange(0, head_width, 2, dtype=torch.float32)
        rates = 1.0 / torch.pow(torch.tensor(theta), columns / head_width)
        rates = torch.cat([rates, rates])
        place = torch.arange(positions, dtype=torch.float32)[:, None, None]
        even, odd = place * rates[0::2], place * rates[1::2]
        return RotaryTables(even.cos(), even.sin(), odd.cos(), odd.sin())

    def scaled(self, factor: Tensor | float) -> RotaryTables:
        """Tables that turn and multiply by ``factor``."""
        return RotaryTables(
            self.even_cos * factor,
            self.even_sin * factor,
            self.odd_cos * factor,
            self.odd_sin * factor,
        )


class HeadProjections(nn.Module):
    """Query, key, value and output projections, under the original's names."""

    def __init__(self, heads: int, head_width: int):
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.head_width = head_width
        self.pairs_apart = False
        self.to_q = Projection(width, width)
        self.to_k = Projection(width, width)
        self.to_v = Projection(width, width)
        self.to_out = nn.ModuleList([Projection(width, width)])

    def take_pairs_apart(self) -> None:
        """Reorder query and key features so that a head's even elements come before its odd.

        Attention sees queries and keys through their inner products only, so an order common
        to both changes nothing; but halves are cheaper to cut out of memory than neighbours.
        """
        if self.pairs_apart:
            return
        order = torch.arange(self.heads * self.head_width)
        order = order.reshape(self.heads, -1, 2).transpose(1, 2).flatten()
        self.to_q.reorder_outputs(order)
        self.to_k.reorder_outputs(order)
        self.pairs_apart = True

    def turned(self, x: Tensor, tables: RotaryTables) -> Tensor:
        """Rotate ``(B, N, width)`` and split it into heads, ``(B, heads, N, head_width)``.

        The elements of a head come out with the even ones first.
        """
        half = self.head_width // 2
        if self.pairs_apart:
            even, odd = x.reshape(x.shape[0], -1, self.heads, 2, half).unbind(-2)
        else:
            even, odd = x.reshape(x.shape[0], -1, self.heads, half, 2).unbind(-1)
        turned_even = even * tables.even_cos - odd * tables.even_sin
        turned_odd = odd * tables.odd_cos + even * tables.odd_sin
        return torch.cat([turned_even, turned_odd], dim=-1).transpose(1, 2)

    def split(self, x: Tensor) -> Tensor:
        """``(B, N, width)`` to ``(B, heads, N, head_width)``."""
        return x.reshape(x.shape[0], -1, self.heads, self.head_width).transpose(1, 2)

    def join(self, x: Tensor) -> Tensor:
        """``(B, heads, N, head_width)`` through the output projection to ``(B, N, width)``."""
        return self.to_out[0](x.transpose(1, 2).flatten(2))


class LinearAttention(HeadProjections):
    """Self-attention with ReLU features instead of a softmax, linear in the number of frames."""

    def forward(self, x: Tensor, tables: RotaryTables) -> Tensor:
        """``x`` ``(B, T, width)``; the frame mask is in ``tables``."""
        query = self.turned(self.to_q(x).float(), tables).relu()
        key = self.turned(self.to_k(x).float(), tables).relu()
        value = self.split(self.to_v(x).float())
        summary = key.transpose(-2, -1) @ value
        key_sum = key.sum(dim=-2)[..., None]
        weight = torch.clamp(query @ key_sum, min=DENOMINATOR_FLOOR)
        return self.join(((query @ summary) / weight).to(x.dtype))


class Context(NamedTuple):
    """What cross-attention looks at.

    ``states`` ``(B, S, width)``; ``seen`` ``(B, S, 1)``, 1 for the keys that count and 0 for
    the others; ``bias`` ``(B, 1, 1, S)``, their mask in the form that is added to scores;
    ``tables`` of the keys' positions.
    """

    states: Tensor
    seen: Tensor
    bias: Tensor
    tables: RotaryTables


class CrossAttention(HeadProjections):
    """Softmax attention of the frames to the context."""

    def forward(
        self, x: Tensor, query_tables: RotaryTables, context: Context, frames_seen: Tensor
    ) -> Tensor:
        """``x`` ``(B, T, width)``; ``frames_seen`` ``(B, T, 1)``, 1 or 0.

        The softmax scale is in ``query_tables``. Frames that are masked, and frames that see no
        key, attend to nothing.
        """
        query = self.turned(self.to_q(x).float(), query_tables)
        key = self.turned(self.to_k(context.states).float(), context.tables)
        value = self.split(self.to_v(context.states) * context.seen)
        scores = query @ key.transpose(-2, -1) + context.bias
        attended = torch.softmax(scores, dim=-1).to(x.dtype) @ value
        return self.join(attended * frames_seen[:, None])
