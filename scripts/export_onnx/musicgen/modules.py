"""The published graphs as small PyTorch modules over a transformers model's own parameters.

They are written out rather than traced from transformers, whose masks and caches change from
version to version and do not trace; `verify` compares every graph with transformers itself.
The names of the submodules are those of the checkpoint, so that graphs keep them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lofi_daemon.backends.musicgen.native.decoder_graph import frequencies


class TextEncoder(nn.Module):
    """T5's encoder: input_ids i64 [B, S], attention_mask i64 [B, S] → f32 [B, S, width]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.text_encoder.encoder
        self.config = model.text_encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Scores are not scaled by the head size (T5 has it in its initialisation)."""
        hidden = self.encoder.embed_tokens(input_ids)
        length = input_ids.shape[1]
        bias = self._position_bias(length)
        bias = bias + (1.0 - attention_mask[:, None, None].to(hidden.dtype)) * -1e9
        for block in self.encoder.block:
            attention, feed_forward = block.layer[0], block.layer[-1]
            normal = attention.layer_norm(hidden)
            part = attention.SelfAttention
            query, key, value = (
                _by_head(linear(normal), self.config.num_heads)
                for linear in (part.q, part.k, part.v)
            )
            weights = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1)
            hidden = hidden + part.o(_joined(weights @ value))
            inner = feed_forward.DenseReluDense
            hidden = hidden + inner(feed_forward.layer_norm(hidden))
        return self.encoder.final_layer_norm(hidden)

    def _position_bias(self, length: int) -> Tensor:
        """[1, heads, S, S]: exact for near positions, logarithmic for far ones (T5, section 2)."""
        config = self.config
        half = config.relative_attention_num_buckets // 2
        exact = half // 2
        positions = torch.arange(length)
        distance = positions[None] - positions[:, None]
        far = torch.log(distance.abs().clamp(min=1).float() / exact)
        far = far / math.log(config.relative_attention_max_distance / exact) * (half - exact)
        far = (exact + far.long()).clamp(max=half - 1)
        buckets = torch.where(distance.abs() < exact, distance.abs(), far)
        buckets = buckets + (distance > 0).long() * half
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        return table(buckets).permute(2, 0, 1)[None]


class TokenDecoder(nn.Module):
    """decoder_model or decoder_with_past_model of Optimum's layout.

    First form: input_ids i64 [B·K, S], encoder_attention_mask i64 [B, E], encoder_hidden_states
    f32 [B, E, text width] → logits f32 [B·K, S, V] and for every layer the keys and values of self
    and cross attention. With past: the hidden states are replaced by all of these, S is 1, and the
    cross attention's are not returned.
    """

    def __init__(self, model: Any, *, with_past: bool) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.enc_to_dec_proj = getattr(model, "enc_to_dec_proj", nn.Identity())
        self.config = model.decoder.config
        self.with_past = with_past
        self.register_buffer(
            "frequencies", torch.from_numpy(frequencies(self.config.hidden_size)), persistent=False
        )

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, *rest: Tensor) -> Any:
        config, decoder = self.config, self.decoder.model.decoder
        codes = input_ids.reshape(-1, config.num_codebooks, input_ids.shape[-1])
        hidden = sum(
            table(codes[:, codebook]) for codebook, table in enumerate(decoder.embed_tokens)
        )
        seen = rest[0].shape[2] if self.with_past else 0
        positions = torch.arange(codes.shape[-1]) + seen
        angles = positions[:, None].float() * self.frequencies
        hidden = hidden + torch.cat((angles.cos(), angles.sin()), dim=1)
        text_mask = (1.0 - encoder_attention_mask[:, None, None].float()) * -1e9
        text = None
        if not self.with_past:
            text = self.enc_to_dec_proj(rest[0]) * encoder_attention_mask[..., None]
        presents: list[Tensor] = []
        for index, layer in enumerate(decoder.layers):
            past = rest[4 * index : 4 * index + 4] if self.with_past else None
            hidden, caches = self._layer(layer, hidden, past, text, text_mask)
            presents += caches[:2] if self.with_past else caches
        hidden = decoder.layer_norm(hidden)
        logits = torch.stack([head(hidden) for head in self.decoder.lm_heads], dim=1)
        return (logits.reshape(-1, *logits.shape[2:]), *presents)

    def _layer(
        self,
        layer: Any,
        hidden: Tensor,
        past: tuple[Tensor, ...] | None,
        text: Tensor | None,
        text_mask: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        heads = self.config.num_attention_heads
        normal = layer.self_attn_layer_norm(hidden)
        key = _by_head(layer.self_attn.k_proj(normal), heads)
        value = _by_head(layer.self_attn.v_proj(normal), heads)
        mask: Tensor | None = None
        if past is None:
            length = hidden.shape[1]
            mask = torch.full((length, length), -1e9).triu(1)
            text_key = _by_head(layer.encoder_attn.k_proj(text), heads)
            text_value = _by_head(layer.encoder_attn.v_proj(text), heads)
        else:
            key = torch.cat((past[0], key), dim=2)
            value = torch.cat((past[1], value), dim=2)
            text_key, text_value = past[2:]
        hidden = hidden + self._attend(layer.self_attn, normal, key, value, mask)
        normal = layer.encoder_attn_layer_norm(hidden)
        hidden = hidden + self._attend(layer.encoder_attn, normal, text_key, text_value, text_mask)
        normal = layer.final_layer_norm(hidden)
        hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(normal)))
        return hidden, [key, value, text_key, text_value]

    def _attend(
        self, attention: Any, hidden: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        query = _by_head(attention.q_proj(hidden), self.config.num_attention_heads)
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores + mask
        return attention.out_proj(_joined(torch.softmax(scores, dim=-1) @ value))


class CodecDecoder(nn.Module):
    """EnCodec's decoder: audio_codes i64 [1, B, K, S] → audio_values f32 [B, 1, hop · S]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.quantizer = model.audio_encoder.quantizer
        self.decoder = model.audio_encoder.decoder

    def forward(self, audio_codes: Tensor) -> Tensor:
        return self.decoder(self.quantizer.decode(audio_codes[0].transpose(0, 1)))


class CodecEncoder(nn.Module):
    """EnCodec's encoder: audio f32 [B, 1, hop · S] → audio_codes i64 [1, B, K, S], S at least 8.

    For whole frames no convolution pads by more than its kernel asks for, which transformers works
    out from the length at every call.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.audio_encoder.encoder
        config = model.decoder.config
        codebooks = config.num_codebooks // config.audio_channels
        self.codebooks = nn.ModuleList(model.audio_encoder.quantizer.layers[:codebooks])

    def forward(self, audio: Tensor) -> Tensor:
        residual = audio
        for layer in self.encoder.layers:
            residual = self._through(layer, residual)
        codes: list[Tensor] = []
        for codebook in self.codebooks:
            codes.append(codebook.encode(residual))
            residual = residual - codebook.decode(codes[-1])
        return torch.stack(codes, dim=1)[None]

    def _through(self, layer: Any, hidden: Tensor) -> Tensor:
        if hasattr(layer, "conv"):
            return self._convolved(layer, hidden)
        if not hasattr(layer, "block"):
            return layer(hidden)
        inner = hidden
        for part in layer.block:
            inner = self._through(part, inner)
        return self._through(layer.shortcut, hidden) + inner

    def _convolved(self, layer: Any, hidden: Tensor) -> Tensor:
        padding = int(layer.padding_total)
        right = 0 if layer.causal else padding // 2
        padded = nn.functional.pad(hidden, (padding - right, right), mode=layer.pad_mode)
        result = layer.conv(padded)
        return layer.norm(result) if layer.norm_type == "time_group_norm" else result


def _by_head(value: Tensor, heads: int) -> Tensor:
    """[B, S, width] → [B, heads, S, head size]."""
    return value.reshape(value.shape[0], value.shape[1], heads, -1).transpose(1, 2)


def _joined(value: Tensor) -> Tensor:
    """[B, heads, S, head size] → [B, S, width]."""
    return value.transpose(1, 2).flatten(2)
