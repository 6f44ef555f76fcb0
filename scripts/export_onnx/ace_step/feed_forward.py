"""The feed-forward of the diffusion transformer: a gated convolution over time, as in Sana."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Projection


class DepthwiseOverTime(nn.Module):
    """A convolution of length 3 over time for every channel by itself, zeros outside."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 3))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, channels)`` to the same shape."""
        convolved = F.conv1d(
            x.transpose(1, 2), self.weight, self.bias, padding=1, groups=x.shape[-1]
        )
        return convolved.transpose(1, 2)


class _Holder(nn.Module):
    """Gives a layer the extra name component ``conv`` that the original's names have."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.conv = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class GatedFeedForward(nn.Module):
    """1×1 convolution, SiLU, depthwise convolution over time, gate, 1×1 convolution."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.inverted_conv = _Holder(Projection(width, 2 * hidden, kernel_axes=1))
        self.depth_conv = _Holder(DepthwiseOverTime(2 * hidden))
        self.point_conv = _Holder(Projection(hidden, width, bias=False, kernel_axes=1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth_conv(F.silu(self.inverted_conv(x)))
        content, gate = x.chunk(2, dim=-1)
        return self.point_conv(content * F.silu(gate))
