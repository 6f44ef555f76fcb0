"""The ONNX interface: one module per graph, its inputs, outputs and free axes.

Two forms. *published* is the interface of the files on the Hub. *native* is what this project
prefers: a batch of two with one timestep per item, a free time axis in the autoencoder, and the
factors of guidance by weakened conditions (ERG) as inputs, 1.0 meaning off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ..assembly import Axes, GraphModule
from .checkpoint import Checkpoint
from .denoiser import DenoiserGraph
from .layers import transpose_weights, weight_dtype
from .lyric_encoder import WEAKENED_BLOCKS as WEAKENED_LYRIC_BLOCKS
from .mel_autoencoder import MelDecoderGraph, MelEncoderGraph
from .text_encoder import WEAKENED_BLOCKS as WEAKENED_TEXT_BLOCKS
from .text_encoder import TextEncoderGraph
from .transformer import WEAKENED_BLOCKS as WEAKENED_FRAME_BLOCKS
from .transformer import AceStepTransformer
from .vocoder import Vocoder

Form = Literal["native", "published"]

PUBLISHED_DCAE_FRAMES = 128
MEL_FRAMES_PER_LATENT = 8
MEL_ENCODER_FILE = "dcae_encoder.onnx"

Sizes = dict[str, int]
"""Lengths of the named axes of one call: batch, tokens, lyric_tokens, frames, …"""


@dataclass(frozen=True)
class Graph:
    """One ONNX file to be.

    ``example`` draws inputs, in the order of ``forward``, for given axis lengths. The published
    form is the native one with ``pinned_inputs`` fixed to 1.0 and ``pinned_axes`` to a length, and
    without the native form's images where convolutions ``over_time`` make up most of a graph.
    ``native_only``: the published form has no such file.
    """

    file_name: str
    module: GraphModule
    outputs: tuple[str, ...]
    free_axes: dict[str, Axes]
    sizes: Sizes
    example: Callable[[Sizes, torch.Generator], dict[str, Tensor]]
    verify_sizes: tuple[Sizes, ...]
    pinned_inputs: tuple[str, ...] = ()
    pinned_axes: Sizes = field(default_factory=dict)
    over_time: bool = False
    native_only: bool = False


class ContextGraph(GraphModule):
    """Text states, speaker and lyrics to the context and its mask."""

    half_arithmetic = True

    def __init__(self, transformer: AceStepTransformer):
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        encoder_text_hidden_states: Tensor,
        text_attention_mask: Tensor,
        speaker_embeds: Tensor,
        lyric_token_idx: Tensor,
        lyric_mask: Tensor,
        lyric_query_scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        dtype = weight_dtype(self)
        states, mask = self.transformer.encode(
            encoder_text_hidden_states.to(dtype),
            text_attention_mask,
            speaker_embeds.to(dtype),
            lyric_token_idx,
            lyric_mask,
            None if lyric_query_scale is None else lyric_query_scale.to(dtype),
        )
        return states.float(), mask

    def prepare(self) -> None:
        for part in (
            self.transformer.lyric_encoder,
            self.transformer.lyric_proj,
            self.transformer.genre_embedder,
            self.transformer.speaker_embedder,
        ):
            transpose_weights(part)


class VocoderGraph(GraphModule):
    """A log-mel spectrogram of one channel to its waveform.

    Never computed in half precision, whose rounding adds noise 50 dB below the signal.
    """

    def __init__(self, vocoder: Vocoder):
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor) -> Tensor:
        return self.vocoder(mel.to(weight_dtype(self))).float()

    def prepare(self) -> None:
        self.vocoder.fold_weight_norm()
        transpose_weights(self)


def build_graphs(checkpoint: Checkpoint) -> list[Graph]:
    """The graphs of a bundle. The denoiser comes last: it frees the transformer."""
    transformer = checkpoint.transformer
    return [
        text_encoder_graph(checkpoint.text_encoder),
        mel_decoder_graph(checkpoint.dcae),
        mel_encoder_graph(checkpoint.dcae),
        vocoder_graph(checkpoint.vocoder, checkpoint.vocoder_config.input_channels),
        context_graph(transformer),
        denoiser_graph(transformer),
    ]


def text_encoder_graph(text_encoder: nn.Module) -> Graph:
    """``text_encoder.onnx``."""
    vocabulary = text_encoder.config.vocab_size
    module = TextEncoderGraph(text_encoder).eval()

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        shape = (sizes["batch"], sizes["tokens"])
        inputs = {
            "input_ids": torch.randint(2, vocabulary, shape, generator=generator),
            "attention_mask": padding_mask(*shape),
        }
        return inputs | ({"query_scale": torch.tensor(0.25)} if module.weakened else {})

    axes = {0: "batch", 1: "tokens"}
    return Graph(
        file_name="text_encoder.onnx",
        module=module,
        outputs=("last_hidden_state",),
        free_axes={"input_ids": axes, "attention_mask": axes},
        sizes={"batch": 2, "tokens": 7},
        example=example,
        verify_sizes=({"batch": 1, "tokens": 5}, {"batch": 2, "tokens": 256}),
        pinned_inputs=("query_scale",),
    )


def context_graph(transformer: AceStepTransformer) -> Graph:
    """``transformer_encoder.onnx``."""
    config = transformer.config
    scalable = len(transformer.lyric_encoder.encoders) > WEAKENED_LYRIC_BLOCKS[0]

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        batch, tokens, lyric_tokens = sizes["batch"], sizes["tokens"], sizes["lyric_tokens"]
        ids_shape = (batch, lyric_tokens)
        lyric_mask = padding_mask(*ids_shape)
        if lyric_tokens == 1:
            # The form that stands for no lyrics masks its only token.
            lyric_mask = torch.zeros_like(lyric_mask)
        inputs = {
            "encoder_text_hidden_states": torch.randn(
                batch, tokens, config.text_embedding_dim, generator=generator
            ),
            "text_attention_mask": padding_mask(batch, tokens),
            "speaker_embeds": torch.randn(batch, config.speaker_embedding_dim, generator=generator),
            "lyric_token_idx": torch.randint(
                0, config.lyric_encoder_vocab_size, ids_shape, generator=generator
            ),
            "lyric_mask": lyric_mask,
        }
        return inputs | ({"lyric_query_scale": torch.tensor(0.25)} if scalable else {})

    text_axes, lyric_axes = {0: "batch", 1: "tokens"}, {0: "batch", 1: "lyric_tokens"}
    return Graph(
        file_name="transformer_encoder.onnx",
        module=ContextGraph(transformer).eval(),
        outputs=("encoder_hidden_states", "encoder_hidden_mask"),
        free_axes={
            "encoder_text_hidden_states": text_axes,
            "text_attention_mask": text_axes,
            "speaker_embeds": {0: "batch"},
            "lyric_token_idx": lyric_axes,
            "lyric_mask": lyric_axes,
        },
        sizes={"batch": 2, "tokens": 7, "lyric_tokens": 5},
        example=example,
        verify_sizes=(
            {"batch": 1, "tokens": 9, "lyric_tokens": 1},
            {"batch": 1, "tokens": 9, "lyric_tokens": 4},
            {"batch": 2, "tokens": 40, "lyric_tokens": 131},
        ),
        pinned_inputs=("lyric_query_scale",),
    )


def denoiser_graph(transformer: AceStepTransformer) -> Graph:
    """``transformer_decoder.onnx``."""
    config = transformer.config
    scalable = len(transformer.transformer_blocks) > WEAKENED_FRAME_BLOCKS[0]

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        batch, frames, context = sizes["batch"], sizes["frames"], sizes["context"]
        latents_shape = (batch, config.in_channels, config.patch_size[0], frames)
        inputs = {
            "hidden_states": torch.randn(latents_shape, generator=generator),
            "attention_mask": torch.ones(batch, frames),
            "encoder_hidden_states": torch.randn(batch, context, config.width, generator=generator),
            "encoder_hidden_mask": padding_mask(batch, context).float(),
            "timestep": torch.tensor([500.5, 998.25])[:batch],
        }
        return inputs | ({"query_scale": torch.tensor([1.0, 0.01])[:batch]} if scalable else {})

    return Graph(
        file_name="transformer_decoder.onnx",
        module=DenoiserGraph(transformer).eval(),
        outputs=("sample",),
        free_axes={
            "hidden_states": {0: "batch", 3: "frames"},
            "attention_mask": {0: "batch", 1: "frames"},
            "encoder_hidden_states": {0: "batch", 1: "context"},
            "encoder_hidden_mask": {0: "batch", 1: "context"},
            "timestep": {0: "batch"},
            "query_scale": {0: "batch"},
        },
        sizes={"batch": 2, "frames": 24, "context": 13},
        example=example,
        verify_sizes=(
            {"batch": 1, "frames": 131, "context": 12},
            {"batch": 2, "frames": 128, "context": 40},
        ),
        pinned_inputs=("query_scale",),
        pinned_axes={"batch": 1},
    )


def mel_decoder_graph(dcae: nn.Module) -> Graph:
    """``dcae_decoder.onnx``."""
    channels = dcae.config.latent_channels

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        return {"latents": torch.randn(1, channels, 16, sizes["frames"], generator=generator)}

    return Graph(
        file_name="dcae_decoder.onnx",
        module=MelDecoderGraph(dcae).eval(),
        outputs=("mel_spectrogram",),
        free_axes={"latents": {3: "frames"}},
        sizes={"frames": 24},
        example=example,
        verify_sizes=({"frames": PUBLISHED_DCAE_FRAMES}, {"frames": 131}, {"frames": 5}),
        pinned_axes={"frames": PUBLISHED_DCAE_FRAMES},
    )


def mel_encoder_graph(dcae: nn.Module) -> Graph:
    """``dcae_encoder.onnx``."""
    channels, bands = dcae.config.in_channels, 128

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        shape = (1, channels, bands, MEL_FRAMES_PER_LATENT * sizes["frames"])
        return {"mel_spectrogram": torch.randn(shape, generator=generator)}

    return Graph(
        file_name=MEL_ENCODER_FILE,
        module=MelEncoderGraph(dcae).eval(),
        outputs=("latents",),
        free_axes={"mel_spectrogram": {3: "mel_frames"}},
        sizes={"frames": 24},
        example=example,
        verify_sizes=({"frames": 128}, {"frames": 131}, {"frames": 5}),
        native_only=True,
    )


def vocoder_graph(vocoder: Vocoder, mels: int) -> Graph:
    """``vocoder.onnx``."""

    def example(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
        # A log-mel spectrogram lives around −11 … 3.
        return {"mel": torch.randn(1, mels, sizes["mel_frames"], generator=generator) * 2 - 4}

    return Graph(
        file_name="vocoder.onnx",
        module=VocoderGraph(vocoder).eval(),
        outputs=("waveform",),
        free_axes={"mel": {2: "mel_frames"}},
        sizes={"mel_frames": 24},
        example=example,
        verify_sizes=({"mel_frames": 131},),
        over_time=True,
    )


def padding_mask(batch: int, length: int) -> Tensor:
    """Ones ``(batch, length)``, with zeros at the end of every item but the first."""
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[1:, length - length // 3 :] = 0
    return mask


def weakening_has_effect(checkpoint: Checkpoint) -> bool:
    """Whether all three stacks are deep enough to hold a block that ERG weakens."""
    return (
        len(checkpoint.text_encoder.encoder.block) > WEAKENED_TEXT_BLOCKS[0]
        and len(checkpoint.transformer.lyric_encoder.encoders) > WEAKENED_LYRIC_BLOCKS[0]
        and len(checkpoint.transformer.transformer_blocks) > WEAKENED_FRAME_BLOCKS[0]
    )
