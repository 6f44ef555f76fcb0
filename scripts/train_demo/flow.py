"""The flow-matching transformer and the expansion of a score to frames.

The context [B, N, `CONTEXT_WIDTH`] is what the context encoder writes: position 0 carries the
band's attributes, score tokens carry a feature vector and the frames they hold for, text
positions are zero. The decoder turns it into features of every frame by itself.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from lofi_daemon.backends.demo.score import ATTRIBUTES, MELODY_KEYS, PARTS, SECTIONS

LATENTS = 128
ATTRIBUTE_VALUES = sum(len(values) for values in ATTRIBUTES.values())
CHORD_FEATURES, DRUM_FEATURES, BASS_FEATURES = 24, 4, 14
MELODY_FEATURES = 1 + len(MELODY_KEYS)
SCORE_FEATURES = (
    len(SECTIONS) + len(PARTS) + CHORD_FEATURES + DRUM_FEATURES + MELODY_FEATURES + BASS_FEATURES
)
BAR_HARMONICS = (0.5, 1, 2, 4, 8, 16)
# Of a context vector: start frame, end frame, bar frames, then features or attributes.
START, END, BAR, FEATURES = 0, 1, 2, 3
CONTEXT_WIDTH = 80
ATTENTION_REACH = 40
"""Frames a position attends to on either side: cost grows linearly, any length works."""


def frame_features(context: torch.Tensor, frames: int) -> torch.Tensor:
    """Features [B, T, 12 + `SCORE_FEATURES`] of each frame from a context [B, N, 80].

    A token holds for the frames in [start, end); tokens that are no part of the score have
    start = end = 0. All tokens of a frame are added up, since they fill different slots.
    """
    time = torch.arange(frames, device=context.device, dtype=context.dtype)[None, :, None]
    start, end = context[:, None, :, START], context[:, None, :, END]
    holds = ((time >= start) & (time < end)).to(context.dtype)
    features = holds @ context[..., FEATURES : FEATURES + SCORE_FEATURES]
    bar_frames = context[:, :, BAR].amax(dim=1)[:, None, None]
    harmonics = torch.tensor(BAR_HARMONICS, dtype=context.dtype, device=context.device)
    cycles = time / bar_frames.clamp_min(1) * harmonics
    angles = 2 * math.pi * (cycles - torch.floor(cycles))
    return torch.cat([angles.sin(), angles.cos(), features], dim=-1)


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of [B, H, T, D] along T."""
    frames, width = x.shape[-2], x.shape[-1]
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=x.dtype, device=x.device) / width)
    angles = torch.arange(frames, dtype=x.dtype, device=x.device)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., : width // 2], x[..., width // 2 :]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def normalise(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + 1e-6)


def attend_nearby(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, present: torch.Tensor
) -> torch.Tensor:
    """Attention of [B, H, T, D] within `ATTENTION_REACH` frames; present [B, T] masks keys.

    Works in blocks of the reach, each with its two neighbours, so cost and memory are linear.
    """
    batch, heads, frames, width = query.shape
    blocks = (frames + ATTENTION_REACH - 1) // ATTENTION_REACH
    missing = blocks * ATTENTION_REACH - frames
    query = F.pad(query, (0, 0, 0, missing))
    query = query.reshape(batch, heads, blocks, ATTENTION_REACH, width)
    # Keys and values of block i with those of blocks i - 1 and i + 1: three shifted views.
    around = (0, 0, ATTENTION_REACH, ATTENTION_REACH + missing)

    def neighbourhood(x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, around).reshape(batch, heads, blocks + 2, ATTENTION_REACH, width)
        return torch.cat([x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]], dim=3)

    seen = F.pad(present.float(), around[2:]).reshape(batch, 1, blocks + 2, ATTENTION_REACH)
    seen = torch.cat([seen[:, :, :-2], seen[:, :, 1:-1], seen[:, :, 2:]], dim=3)
    at = torch.arange(ATTENTION_REACH, device=query.device)[:, None] + ATTENTION_REACH
    other = torch.arange(3 * ATTENTION_REACH, device=query.device)[None, :]
    near = ((at - other).abs() <= ATTENTION_REACH).to(torch.float32)
    bias = (near * seen.unsqueeze(3) - 1) * 1e4
    scores = query @ neighbourhood(key).transpose(3, 4) * width**-0.5 + bias.to(query.dtype)
    mixed = scores.softmax(dim=-1).to(value.dtype) @ neighbourhood(value)
    return mixed.reshape(batch, heads, blocks * ATTENTION_REACH, width)[:, :, :frames]


class Block(nn.Module):
    """Windowed self-attention and a convolutional feed-forward, both modulated (adaLN)."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.rise = nn.Linear(width, inner)
        self.mix = nn.Conv1d(inner, inner, 5, padding=2, groups=inner)
        self.fall = nn.Linear(inner, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: torch.Tensor, shared: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """x [B, T, W], shared modulation [B, 6, W], present [B, T] 1 where a frame counts."""
        a_shift, a_scale, a_gate, f_shift, f_scale, f_gate = (
            (shared + self.modulation).unsqueeze(2).unbind(dim=1)
        )
        batch, frames, width = x.shape
        h = normalise(x) * (1 + a_scale) + a_shift
        h = self.attention_in(h).reshape(batch, frames, 3, self.heads, width // self.heads)
        query, key, value = h.permute(2, 0, 3, 1, 4).unbind(dim=0)
        query, key = rotate(normalise(query).float()), rotate(normalise(key).float())
        h = attend_nearby(query.to(value.dtype), key.to(value.dtype), value, present)
        x = x + a_gate * self.attention_out(h.transpose(1, 2).reshape(batch, frames, width))
        h = self.rise(normalise(x) * (1 + f_scale) + f_shift)
        h = h + self.mix(h.transpose(1, 2)).transpose(1, 2)
        return x + f_gate * self.fall(F.gelu(h, approximate="tanh"))


class Flow(nn.Module):
    """Predicts v = noise - data for latents [B, 8, 16, T] at `timestep` = 1000 sigma."""

    def __init__(self, width: int = 256, blocks: int = 7, heads: int = 4, inner: int = 704) -> None:
        super().__init__()
        self.width = width
        self.latents_in = nn.Linear(LATENTS, width)
        self.score_in = nn.Linear(2 * len(BAR_HARMONICS) + SCORE_FEATURES, width)
        self.score_mix = nn.Sequential(nn.GELU(approximate="tanh"), nn.Linear(width, width))
        self.attributes_in = nn.Linear(ATTRIBUTE_VALUES, width)
        self.time_in = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(width, heads, inner) for _ in range(blocks))
        self.final_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.latents_out = nn.Linear(width, LATENTS)
        nn.init.zeros_(self.latents_out.weight)
        nn.init.zeros_(self.latents_out.bias)
        for layer in (self.modulation[1], self.final_modulation[1]):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        encoder_hidden_mask: torch.Tensor,
        timestep: torch.Tensor,
    ) -> torch.Tensor:
        frames = hidden_states.shape[-1]
        latents = hidden_states.flatten(1, 2).transpose(1, 2)
        context = encoder_hidden_states * encoder_hidden_mask.unsqueeze(-1)
        score = self.score_in(frame_features(context, frames))
        x = self.latents_in(latents) + score + self.score_mix(score)
        rates = torch.exp(-math.log(10000.0) * torch.arange(128, device=x.device) / 128)
        angles = timestep[:, None].float() * rates
        time = self.time_in(torch.cat([angles.sin(), angles.cos()], dim=-1).to(x.dtype))
        attributes = context[:, 0, FEATURES : FEATURES + ATTRIBUTE_VALUES]
        condition = time + self.attributes_in(attributes)
        shared = self.modulation(condition).unflatten(1, (6, self.width))
        for block in self.blocks:
            x = block(x, shared, attention_mask)
        shift, scale = self.final_modulation(condition).unsqueeze(1).chunk(2, dim=-1)
        x = self.latents_out(normalise(x) * (1 + scale) + shift)
        return x.transpose(1, 2).unflatten(1, (8, 16))
