"""A random MusicGen of real structure and small sizes, in a second: for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("lofi", "beat", "rain", "piano", "night", "vinyl", "slow", "warm")
VOCABULARY = 64
TEXT_WIDTH = 48


def tiny_model(*, channels: int = 1, seed: int = 0, **decoder_sizes: int) -> Any:
    """MusicgenForConditionalGeneration with every parameter drawn, norms and codebooks included."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    text = T5Config(
        vocab_size=len(WORDS) + 2, d_model=TEXT_WIDTH, d_kv=12, d_ff=64, num_layers=2, num_heads=4
    )
    audio = EncodecConfig(
        sampling_rate=32000,
        num_filters=4,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=VOCABULARY,
        hidden_size=16,
        use_causal_conv=False,
        use_conv_shortcut=False,
        target_bandwidths=[1.2],
    )
    sizes = {"num_hidden_layers": 2, "ffn_dim": 128, "num_attention_heads": 4, "hidden_size": 64}
    decoder = MusicgenDecoderConfig(
        vocab_size=VOCABULARY,
        num_codebooks=4 * channels,
        audio_channels=channels,
        pad_token_id=VOCABULARY,
        bos_token_id=VOCABULARY,
        **(sizes | decoder_sizes),
    )
    config = MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=audio.to_dict(), decoder=decoder.to_dict()
    )
    torch.manual_seed(seed)
    model = MusicgenForConditionalGeneration(config).eval()
    randomise(model)
    return model


def randomise(model: Any) -> None:
    """Draw what a fresh model leaves constant, so that no mistake can hide behind a one or zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.2 + ("weight" in name))
            elif name.startswith("decoder.") or "enc_to_dec" in name:
                parameter.copy_(torch.randn_like(parameter) * 1.5 * parameter.shape[-1] ** -0.5)
        for name, parameter in model.audio_encoder.encoder.named_parameters():
            if name.endswith("original0"):  # or its biases would drown out the sound
                parameter.mul_(2.0)
        for layer in model.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
    generation = model.generation_config
    generation.decoder_start_token_id = model.config.decoder.pad_token_id
    generation.pad_token_id = generation.bos_token_id = model.config.decoder.pad_token_id


def write_tokenizer(path: Path) -> None:
    """A tokenizer of a few words that ends every text in </s>, as T5's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {"<unk>": 0, "</s>": 1} | {word: i + 2 for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(path))
