"""A complete bundle of the real architecture with tiny random weights.

It makes noise, not music; it is there so that every line that runs the real model can be run in
seconds: ``python -m scripts.export_onnx.tiny OUT_DIR``. The checkpoint is written in the
original's folder layout first and goes through the same export as the real one.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .ace_step.checkpoint import TEXT_ENCODER_FOLDER, load_checkpoint
from .ace_step.export import (
    LYRIC_TOKENIZER_FILE,
    TOKENIZER_FILE,
    Precision,
    Report,
    export_checkpoint,
)
from .ace_step.graphs import Form
from .ace_step.lyric_encoder import LyricEncoderConfig
from .ace_step.transformer import AceStepTransformer, TransformerConfig
from .ace_step.vocoder import Vocoder, VocoderConfig
from .reference_checkpoint import FOLDERS, save_weights

LYRIC_VOCABULARY = 6693
"""As in the real model: the lyric ids of the structure tags are fixed by the daemon."""

LYRIC_MARKS = {
    "[en]": 259,
    "[de]": 260,
    "[START]": 261,
    "[ru]": 267,
    "[zh-cn]": 5023,
    "[verse]": 6683,
    "[chorus]": 6684,
    "[inst]": 6688,
}

SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>")


@dataclass(frozen=True)
class TinySizes:
    """Widths and depths of the tiny model. Depths suffice for every block that ERG weakens."""

    heads: int = 2
    head_width: int = 16
    blocks: int = 16
    lyric_blocks: int = 5
    text_width: int = 32
    text_blocks: int = 9
    dcae_widths: tuple[int, int, int, int] = (8, 16, 32, 64)
    vocoder_widths: tuple[int, int, int, int] = (16, 24, 32, 40)
    vocoder_head_width: int = 32


def build_tiny_bundle(
    folder: Path,
    *,
    form: Form = "native",
    precision: Precision = "fp32",
    seed: str = "tiny",
    sizes: TinySizes | None = None,
    report: Report = lambda _line: None,
) -> Path:
    """Export a tiny random model into ``folder`` and return it."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = build_tiny_checkpoint(Path(scratch), seed=seed, sizes=sizes or TinySizes())
        export_checkpoint(
            load_checkpoint(checkpoint),
            {form: folder},
            tokenizer=checkpoint / TEXT_ENCODER_FOLDER / TOKENIZER_FILE,
            lyric_tokenizer=checkpoint / LYRIC_TOKENIZER_FILE,
            precision=precision,
            model_version=f"tiny-{seed}",
            licence="MIT",
            report=report,
        )
    return folder


def build_tiny_checkpoint(folder: Path, *, seed: str, sizes: TinySizes) -> Path:
    """Write the four folders of a checkpoint, configs, weights and tokenizers."""
    tokenizer = build_tokenizer()
    configs = tiny_configs(sizes, tokenizer.get_vocab_size())
    shapes = state_shapes(configs, sizes)
    for module, name in FOLDERS.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        config_text = json.dumps(configs[module], indent=2) + "\n"
        (target / "config.json").write_text(config_text, encoding="utf-8")
        save_weights(target, module, seed, shapes[module])
    tokenizer.save(str(folder / TEXT_ENCODER_FOLDER / TOKENIZER_FILE))
    build_lyric_tokenizer(seed).save(str(folder / LYRIC_TOKENIZER_FILE))
    return folder


def build_tokenizer() -> Tokenizer:
    """A character tokenizer with the outward manners of T5's: ``▁`` for blanks, ``</s>`` last."""
    characters = ["▁", *map(chr, range(33, 127))]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    return tokenizer


def build_lyric_tokenizer(seed: str) -> Tokenizer:
    """Pieces of letters that a seed chose, with the real vocabulary's marks at their real ids."""
    letters = "abcdefghijklmnopqrstuvwxyzäöüéñçабвгдежзиклмнопрстуя0123456789.,'-&%()"
    chance = random.Random(seed)
    pairs = sorted({tuple(chance.sample(letters[:26], 2)) for _ in range(100)})
    vocabulary = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2}
    for piece in (*letters, *map("".join, pairs)):
        vocabulary[piece] = len(vocabulary)
    marks = {"[STOP]", "[UNK]", "[SPACE]", *LYRIC_MARKS}
    tokenizer = Tokenizer(models.BPE(vocabulary | LYRIC_MARKS, pairs, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(sorted(marks))
    return tokenizer


def tiny_configs(sizes: TinySizes, text_vocabulary: int) -> dict[str, dict[str, Any]]:
    """The four config.json files, in the originals' keys."""
    width = sizes.heads * sizes.head_width
    vocoder = VocoderConfig(
        depths=(1, 1, 2, 1),
        dims=sizes.vocoder_widths,
        num_mels=sizes.vocoder_widths[-1],
        upsample_initial_channel=sizes.vocoder_head_width,
        upsample_rates=(8, 8, 8),
        upsample_kernel_sizes=(16, 16, 16),
        resblock_kernel_sizes=(3, 7),
        resblock_dilation_sizes=((1, 3, 5), (1, 3, 5)),
    )
    return {
        "umt5": {
            "model_type": "umt5",
            "d_model": sizes.text_width,
            "d_kv": sizes.text_width // 4,
            "d_ff": sizes.text_width * 3 // 2,
            "num_heads": 4,
            "num_layers": sizes.text_blocks,
            "vocab_size": text_vocabulary,
            "feed_forward_proj": "gated-gelu",
        },
        "transformer": {
            "_class_name": "ACEStepTransformer2DModel",
            "num_layers": sizes.blocks,
            "attention_head_dim": sizes.head_width,
            "num_attention_heads": sizes.heads,
            "text_embedding_dim": sizes.text_width,
            "lyric_encoder_vocab_size": LYRIC_VOCABULARY,
            "lyric_hidden_size": width,
        },
        "dcae": dcae_config(
            residual_blocks=2,
            head_width=16,
            widths=sizes.dcae_widths,
            encoder_layers=(1, 1, 1, 1),
            decoder_layers=(1, 1, 1, 1),
        ),
        "vocoder": {"_class_name": "ADaMoSHiFiGANV1", **asdict(vocoder)},
    }


def dcae_config(
    *,
    residual_blocks: int,
    head_width: int,
    widths: Sequence[int],
    encoder_layers: Sequence[int],
    decoder_layers: Sequence[int],
) -> dict[str, Any]:
    """The mel autoencoder's config.json; after the residual blocks come those with attention."""
    attending_blocks = len(widths) - residual_blocks
    block_types = ["ResBlock"] * residual_blocks + ["EfficientViTBlock"] * attending_blocks
    config: dict[str, Any] = {"_class_name": "AutoencoderDC", "in_channels": 2}
    config |= {"latent_channels": 8, "attention_head_dim": head_width}
    for half, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        config |= {
            f"{half}_block_types": block_types,
            f"{half}_block_out_channels": list(widths),
            f"{half}_layers_per_block": list(layers),
            f"{half}_qkv_multiscales": [[], [], [5], [5]],
        }
    return config | {
        "upsample_block_type": "interpolate",
        "downsample_block_type": "Conv",
        "decoder_norm_types": "rms_norm",
        "decoder_act_fns": "silu",
        "scaling_factor": 0.41407,
    }


def state_shapes(
    configs: dict[str, dict[str, Any]], sizes: TinySizes
) -> dict[str, dict[str, list[int]]]:
    """Names and shapes of every tensor, read off modules that hold no memory."""
    from diffusers import AutoencoderDC
    from transformers import UMT5Config, UMT5EncoderModel

    width = sizes.heads * sizes.head_width
    lyric_encoder = LyricEncoderConfig(width, 4, 2 * width, sizes.lyric_blocks)
    with torch.device("meta"):
        modules = {
            "umt5": UMT5EncoderModel(UMT5Config(**configs["umt5"])),
            "transformer": AceStepTransformer(
                TransformerConfig.from_dict(configs["transformer"], lyric_encoder)
            ),
            "dcae": AutoencoderDC.from_config(configs["dcae"]),
            "vocoder": Vocoder(VocoderConfig.from_dict(configs["vocoder"])),
        }
    shapes = {
        module: {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        for module, model in modules.items()
    }
    # The other name of umt5's shared embedding.
    del shapes["umt5"]["encoder.embed_tokens.weight"]
    return shapes


def main() -> None:
    """Build a tiny random bundle."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export_onnx.tiny", description=main.__doc__
    )
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--form", choices=["native", "published"], default="native")
    parser.add_argument("--precision", choices=["fp32", "fp16"], default="fp32")
    parser.add_argument("--seed", default="tiny")
    arguments = parser.parse_args()
    build_tiny_bundle(
        arguments.out_dir,
        form=arguments.form,
        precision=arguments.precision,
        seed=arguments.seed,
        report=print,
    )


if __name__ == "__main__":
    main()
