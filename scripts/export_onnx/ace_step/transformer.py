"""The diffusion transformer of ACE-Step v1, with the context encoder that belongs to it.

A stack of blocks as in Sana (arXiv:2410.10629): linear self-attention, cross-attention to the
context [speaker | text | lyrics], and a gated convolutional feed-forward, under one shared
adaptive normalisation. Parameter names are those of the published checkpoint. All activations
are ``(batch, frames, channels)``, so that every 1×1 convolution is a matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Context, CrossAttention, LinearAttention, RotaryTables
from .feed_forward import GatedFeedForward
from .layers import Projection, attention_bias
from .lyric_encoder import LyricEncoder, LyricEncoderConfig

WEAKENED_BLOCKS = tuple(range(15, 20))
"""The blocks whose cross-attention queries the guidance by weakened conditions (ERG) scales."""

TIMESTEP_FEATURES = 256
PATCH_GROUPS = 32
NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class TransformerConfig:
    """The keys of the checkpoint's config.json that shape the modules."""

    in_channels: int = 8
    out_channels: int = 8
    num_layers: int = 24
    attention_head_dim: int = 128
    num_attention_heads: int = 20
    mlp_ratio: float = 2.5
    rope_theta: float = 1_000_000.0
    patch_size: tuple[int, int] = (16, 1)
    speaker_embedding_dim: int = 512
    text_embedding_dim: int = 768
    lyric_encoder_vocab_size: int = 6693
    lyric_hidden_size: int = 1024
    ssl_latent_dims: tuple[int, ...] = (1024, 768)
    lyric_encoder: LyricEncoderConfig = field(default_factory=LyricEncoderConfig)

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.num_attention_heads * self.attention_head_dim

    @classmethod
    def from_dict(
        cls, values: dict[str, Any], lyric_encoder: LyricEncoderConfig | None = None
    ) -> TransformerConfig:
        """Read a config.json, leaving out what inference does not need."""
        known = {entry.name for entry in fields(cls)} - {"lyric_encoder"}
        chosen = {key: value for key, value in values.items() if key in known}
        for key in ("patch_size", "ssl_latent_dims"):
            if key in chosen:
                chosen[key] = tuple(chosen[key])
        config = cls(**chosen, lyric_encoder=lyric_encoder or LyricEncoderConfig())
        if config.patch_size[1] != 1:
            raise ValueError(f"patches span one frame, this config says {config.patch_size}")
        return config


def timestep_features(timestep: Tensor, width: int = TIMESTEP_FEATURES) -> Tensor:
    """Cosines, then sines, of the timestep ``(B,)`` at ``width // 2`` rates, in float32.

    The product of timestep and rate is rounded to float32 on purpose: at 1000 that is the
    precision the model was trained with.
    """
    half = width // 2
    rates = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
    angles = timestep.float()[:, None] * rates[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rms_normalise(x: Tensor) -> Tensor:
    """Divide by the root mean square over the last axis, taken in float32."""
    wide = x.float()
    mean_square = wide.pow(2).mean(dim=-1, keepdim=True)
    return (wide * torch.rsqrt(mean_square + NORM_EPSILON)).to(x.dtype)


class TimestepEmbedder(nn.Module):
    """Two linear maps with SiLU between them, from timestep features to the model's width."""

    def __init__(self, width: int):
        super().__init__()
        self.linear_1 = Projection(TIMESTEP_FEATURES, width)
        self.linear_2 = Projection(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(features)))


class PatchEmbed(nn.Module):
    """Latents ``(B, channels, height, T)`` to tokens ``(B, T, width)``, one a frame.

    The three stages keep the original's places in ``early_conv_layers``: a convolution over
    the whole height of one frame, a GroupNorm whose statistics run over all frames, a 1×1
    convolution.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        hidden = config.in_channels * 256
        self.early_conv_layers = nn.Sequential(
            _PatchProjection(config.in_channels, config.patch_size[0], hidden),
            nn.GroupNorm(PATCH_GROUPS, hidden, eps=NORM_EPSILON),
            Projection(hidden, config.width, kernel_axes=2),
        )

    def forward(self, latents: Tensor) -> Tensor:
        project, norm, mix = self.early_conv_layers
        x = project(latents.permute(0, 3, 1, 2).flatten(2))
        groups = x.float().unflatten(-1, (PATCH_GROUPS, -1))
        groups = groups - groups.mean(dim=(1, 3), keepdim=True)
        variance = groups.pow(2).mean(dim=(1, 3), keepdim=True)
        normalised = (groups * torch.rsqrt(variance + NORM_EPSILON)).flatten(2).to(x.dtype)
        return mix(normalised * norm.weight + norm.bias)


class _PatchProjection(Projection):
    """A projection of one frame's channels × height, stored as a convolution weight."""

    def __init__(self, channels: int, height: int, outputs: int):
        super().__init__(channels * height, outputs)
        self.weight = nn.Parameter(torch.empty(outputs, channels, height, 1))


class Surroundings(NamedTuple):
    """What every block sees besides the stream itself, the same for all of them.

    ``modulation`` ``(B, 6, width)``; ``self_tables`` hold the frame mask, ``query_tables`` the
    softmax scale and, for the blocks concerned, the ERG factor; ``frames_seen`` ``(B, T, 1)``.
    """

    modulation: Tensor
    self_tables: RotaryTables
    query_tables: RotaryTables
    context: Context
    frames_seen: Tensor


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        heads = (config.num_attention_heads, config.attention_head_dim)
        self.attn = LinearAttention(*heads)
        self.cross_attn = CrossAttention(*heads)
        self.ff = GatedFeedForward(config.width, int(config.width * config.mlp_ratio))
        self.scale_shift_table = nn.Parameter(torch.empty(6, config.width))

    def forward(self, x: Tensor, seen: Surroundings) -> Tensor:
        """``x`` ``(B, T, width)`` to the same shape."""
        modulation = self.scale_shift_table + seen.modulation
        shift_attn, scale_attn, gate_attn, shift_ff, scale_ff, gate_ff = modulation.chunk(6, dim=1)
        attended = self.attn(rms_normalise(x) * (1 + scale_attn) + shift_attn, seen.self_tables)
        x = x + gate_attn * attended
        x = x + self.cross_attn(x, seen.query_tables, seen.context, seen.frames_seen)
        return x + gate_ff * self.ff(rms_normalise(x) * (1 + scale_ff) + shift_ff)


class FinalLayer(nn.Module):
    """Normalise, modulate, and map every token to one frame ``(channels, height)``."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.height = config.patch_size[0]
        self.linear = Projection(config.width, self.height * config.out_channels)
        self.scale_shift_table = nn.Parameter(torch.empty(2, config.width))

    def forward(self, x: Tensor, embedded_timestep: Tensor) -> Tensor:
        """Tokens ``(B, T, width)`` to latents ``(B, channels, height, T)``."""
        modulation = self.scale_shift_table + embedded_timestep[:, None]
        shift, scale = modulation.chunk(2, dim=1)
        frames = self.linear(rms_normalise(x) * (1 + scale) + shift)
        return frames.unflatten(-1, (self.height, -1)).permute(0, 3, 2, 1)


class AceStepTransformer(nn.Module):
    """Context encoder (:meth:`encode`) and one denoising call (:meth:`decode`)."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width = config.width
        self.config = config
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(config) for _ in range(config.num_layers)
        )
        self.timestep_embedder = TimestepEmbedder(width)
        self.t_block = nn.Sequential(nn.SiLU(), Projection(width, 6 * width))
        self.speaker_embedder = Projection(config.speaker_embedding_dim, width)
        self.genre_embedder = Projection(config.text_embedding_dim, width)
        self.lyric_embs = nn.Embedding(config.lyric_encoder_vocab_size, config.lyric_hidden_size)
        self.lyric_encoder = LyricEncoder(config.lyric_hidden_size, config.lyric_encoder)
        self.lyric_proj = Projection(config.lyric_hidden_size, width)
        self.proj_in = PatchEmbed(config)
        self.final_layer = FinalLayer(config)

    def encode(
        self,
        text: Tensor,
        text_mask: Tensor,
        speaker: Tensor,
        lyric_ids: Tensor,
        lyric_mask: Tensor,
        lyric_query_scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Build the context [speaker | text | lyrics].

        ``text`` ``(B, S, text width)``, ``speaker`` ``(B, 512)``, ``lyric_ids`` ``(B, L)``,
        masks ``(B, S)`` and ``(B, L)`` with 1 for what counts; returns the states
        ``(B, 1 + S + L, width)`` and their mask in float32. ``lyric_query_scale`` weakens the
        lyrics for ERG (1 = not).
        """
        embedded = self.lyric_embs(lyric_ids)
        lyrics = self.lyric_proj(self.lyric_encoder(embedded, lyric_mask, lyric_query_scale))
        states = torch.cat(
            [self.speaker_embedder(speaker)[:, None], self.genre_embedder(text), lyrics], dim=1
        )
        always = torch.ones_like(speaker[:, :1], dtype=torch.float32)
        mask = torch.cat([always, text_mask.float(), lyric_mask.float()], dim=1)
        return states, mask

    def decode(
        self,
        latents: Tensor,
        frame_mask: Tensor,
        context: Tensor,
        context_mask: Tensor,
        timestep: Tensor,
        query_scale: Tensor | None = None,
    ) -> Tensor:
        """Predict the velocity for noisy ``latents`` ``(B, channels, height, T)``.

        ``frame_mask`` ``(B, T)``, ``context`` ``(B, S, width)``, ``context_mask`` ``(B, S)``,
        ``timestep`` ``(B,)`` in 0 … 1000. ``query_scale`` ``(B,)`` weakens the cross-attention
        queries of blocks 15 to 19 for ERG (1 = not).
        """
        x, embedded, strong, weak_queries = self.begin(
            latents, frame_mask, context, context_mask, timestep, query_scale
        )
        weak = strong._replace(query_tables=weak_queries)
        for index, block in enumerate(self.transformer_blocks):
            x = block(x, weak if index in WEAKENED_BLOCKS else strong)
        return self.final_layer(x, embedded)

    def begin(
        self,
        latents: Tensor,
        frame_mask: Tensor,
        context: Tensor,
        context_mask: Tensor,
        timestep: Tensor,
        query_scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Surroundings, RotaryTables]:
        """Everything that comes before the first block; arguments as of :meth:`decode`.

        Returns the stream ``(B, T, width)``, the embedded timestep ``(B, width)``, what the
        blocks see, and the query tables of the blocks that ERG weakens.
        """
        x = self.proj_in(latents)
        embedded = self.timestep_embedder(timestep_features(timestep).to(x.dtype))
        modulation = self.t_block(embedded).unflatten(-1, (6, -1))

        head_width, theta = self.config.attention_head_dim, self.config.rope_theta
        frames = RotaryTables.build(x.shape[1], head_width, theta)
        softmax_scale = torch.full_like(timestep, head_width**-0.5, dtype=torch.float32)
        strong_queries = frames.scaled(softmax_scale[:, None, None, None])
        weak_queries = strong_queries
        if query_scale is not None:
            weak_queries = strong_queries.scaled(query_scale.float()[:, None, None, None])
        surroundings = Surroundings(
            modulation=modulation,
            self_tables=frames.scaled(frame_mask.float()[:, :, None, None]),
            query_tables=strong_queries,
            context=Context(
                states=context,
                seen=context_mask.eq(1).to(x.dtype)[:, :, None],
                bias=attention_bias(context_mask, torch.float32),
                tables=RotaryTables.build(context.shape[1], head_width, theta),
            ),
            frames_seen=frame_mask.eq(1).to(x.dtype)[:, :, None],
        )
        return x, embedded, surroundings, weak_queries
