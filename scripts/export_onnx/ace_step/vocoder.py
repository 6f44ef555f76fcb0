"""The vocoder of ACE-Step v1: log-mel frames to a 44.1 kHz waveform.

A ConvNeXt backbone (arXiv:2201.03545) in one dimension, then a HiFi-GAN generator
(arXiv:2010.05646) with SiLU. Parameter names are those of the published checkpoint, weight-normed
convolutions included (``weight_g`` and ``weight_v``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-6
STEM_KERNEL = 7
IGNORED_TENSORS = ("mel_transform.spectrogram.window", "mel_transform.mel_scale.fb")
"""Buffers of the mel analysis that the checkpoint carries along; decoding needs none of them."""


@dataclass(frozen=True)
class VocoderConfig:
    """The keys of the checkpoint's config.json that shape the modules."""

    input_channels: int = 128
    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (128, 256, 384, 512)
    kernel_sizes: tuple[int, ...] = (7,)
    num_mels: int = 512
    upsample_initial_channel: int = 1024
    upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (8, 8, 4, 4, 4, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11, 13)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 4
    pre_conv_kernel_size: int = 13
    post_conv_kernel_size: int = 13
    sampling_rate: int = 44100
    hop_length: int = 512

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VocoderConfig:
        """Read a config.json; raises ValueError for variants no checkpoint uses."""
        if values.get("use_template"):
            raise ValueError("a vocoder with a pitch template (use_template) is not supported")
        known = {entry.name for entry in fields(cls)}
        chosen = {key: _frozen(value) for key, value in values.items() if key in known}
        config = cls(**chosen)
        if len(config.kernel_sizes) != 1:
            raise ValueError(f"one backbone kernel size is supported, not {config.kernel_sizes}")
        return config


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of ``(B, channels, frames)``."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x.float() - x.float().mean(dim=1, keepdim=True)
        variance = centred.pow(2).mean(dim=1, keepdim=True)
        normalised = (centred * torch.rsqrt(variance + NORM_EPSILON)).to(x.dtype)
        return normalised * self.weight[:, None] + self.bias[:, None]


class ConvNextBlock(nn.Module):
    """Depthwise convolution, LayerNorm and a two-layer perceptron over channels, added to x."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).transpose(1, 2))
        hidden = self.gamma * self.pwconv2(F.gelu(self.pwconv1(hidden)))
        return x + hidden.transpose(1, 2)


class Backbone(nn.Module):
    """Log-mel ``(B, mels, M)`` to features ``(B, dims[-1], M)``."""

    def __init__(self, config: VocoderConfig):
        super().__init__()
        dims = config.dims
        stem = nn.Conv1d(
            config.input_channels,
            dims[0],
            STEM_KERNEL,
            padding=STEM_KERNEL // 2,
            padding_mode="replicate",
        )
        self.channel_layers = nn.ModuleList([nn.Sequential(stem, ChannelNorm(dims[0]))])
        for before, after in pairwise(dims):
            widen = nn.Sequential(ChannelNorm(before), nn.Conv1d(before, after, 1))
            self.channel_layers.append(widen)
        self.stages = nn.ModuleList(
            nn.Sequential(*[ConvNextBlock(width, config.kernel_sizes[0]) for _ in range(depth)])
            for width, depth in zip(dims, config.depths, strict=True)
        )
        self.norm = ChannelNorm(dims[-1])

    def forward(self, x: Tensor) -> Tensor:
        for enter, stage in zip(self.channel_layers, self.stages, strict=True):
            x = stage(enter(x))
        return self.norm(x)


class NormedConv(nn.Module):
    """A convolution over time whose weight is ``weight_g · weight_v / ‖weight_v‖``.

    The norm runs over every axis but the first, which for a transposed convolution is that of
    the *input* channels. :meth:`fold` multiplies the two out for good.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        dilation: int = 1,
        upsampling: int | None = None,
    ):
        super().__init__()
        leading, second = (outputs, inputs) if upsampling is None else (inputs, outputs)
        self.dilation = dilation
        self.upsampling = upsampling
        self.weight_g = nn.Parameter(torch.empty(leading, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(leading, second, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.folded = False

    @property
    def kernel(self) -> int:
        """Number of taps."""
        return self.weight_v.shape[-1]

    def weight(self) -> Tensor:
        """The effective weight."""
        if self.folded:
            return self.weight_v
        return torch._weight_norm(self.weight_v, self.weight_g, 0)

    @torch.no_grad()
    def fold(self) -> None:
        """Keep the effective weight as the only one. The results stay the same."""
        if not self.folded:
            self.weight_v = nn.Parameter(self.weight(), requires_grad=False)
            del self.weight_g
            self.folded = True

    def forward(self, x: Tensor) -> Tensor:
        if self.upsampling is None:
            padding = self.dilation * (self.kernel - 1) // 2
            return F.conv1d(x, self.weight(), self.bias, padding=padding, dilation=self.dilation)
        padding = (self.kernel - self.upsampling) // 2
        return F.conv_transpose1d(
            x, self.weight(), self.bias, stride=self.upsampling, padding=padding
        )


class ResidualBlock(nn.Module):
    """For each dilation: SiLU, dilated convolution, SiLU, plain convolution, added to x."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.convs1 = nn.ModuleList(
            NormedConv(channels, channels, kernel, dilation=dilation) for dilation in dilations
        )
        self.convs2 = nn.ModuleList(NormedConv(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = plain(F.silu(dilated(F.silu(x)))) + x
        return x


class Generator(nn.Module):
    """Features ``(B, num_mels, M)`` to a waveform ``(B, 1, hop_length · M)`` in −1 … 1."""

    def __init__(self, config: VocoderConfig):
        super().__init__()
        channels = config.upsample_initial_channel
        self.kernels = len(config.resblock_kernel_sizes)
        self.conv_pre = NormedConv(config.num_mels, channels, config.pre_conv_kernel_size)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        stages = zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)
        for rate, kernel in stages:
            self.ups.append(NormedConv(channels, channels // 2, kernel, upsampling=rate))
            channels //= 2
            for size, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            ):
                self.resblocks.append(ResidualBlock(channels, size, dilations))
        self.conv_post = NormedConv(channels, 1, config.post_conv_kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_pre(x)
        for index, upsample in enumerate(self.ups):
            x = upsample(F.silu(x))
            branches = self.resblocks[index * self.kernels : (index + 1) * self.kernels]
            x = reduce(torch.add, [branch(x) for branch in branches]) / self.kernels
        return torch.tanh(self.conv_post(F.silu(x)))


class Vocoder(nn.Module):
    """Log-mel ``(B, mels, M)``, not clamped, to a waveform ``(B, 1, hop_length · M)``."""

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.backbone = Backbone(config)
        self.head = Generator(config)

    def forward(self, mel: Tensor) -> Tensor:
        return self.head(self.backbone(mel))

    def fold_weight_norm(self) -> None:
        """Multiply out every weight norm, for export."""
        for module in self.modules():
            if isinstance(module, NormedConv):
                module.fold()


def receptive_field_frames(config: VocoderConfig) -> int:
    """How many mel frames on each side of its own a sample of the waveform can depend on.

    Follows the range of positions that frame 0's samples are made from, back through all layers.
    """
    widest_block = max(
        sum((dilation + 1) * (size // 2) for dilation in dilations)
        for size, dilations in zip(
            config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
        )
    )
    reach = config.post_conv_kernel_size // 2
    first, last = -reach, math.prod(config.upsample_rates) - 1 + reach
    upsampling = zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)
    for rate, kernel in reversed(list(upsampling)):
        first, last = first - widest_block, last + widest_block
        # Output o sums the inputs i of a transposed convolution for which
        # 0 <= o + padding - i * rate < kernel.
        padding = (kernel - rate) // 2
        first, last = -((kernel - 1 - padding - first) // rate), (last + padding) // rate
    reach = config.pre_conv_kernel_size // 2 + STEM_KERNEL // 2
    reach += sum(config.depths) * (config.kernel_sizes[0] // 2)
    return max(reach - first, reach + last)
