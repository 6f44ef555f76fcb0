"""A checkpoint of ACE-Step 1.5 turbo of real size with random weights, in the original's layout.

python -m benchmarks.random_checkpoint_15 FOLDER [--blocks 24]

6 GB in bfloat16, written tensor by tensor. What only covers need (the 5 Hz tokenizer) is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

Shapes = dict[str, tuple[int, ...]]

WIDTH, INNER, HEADS, SHARED_HEADS, HEAD = 2048, 6144, 16, 8, 128
TEXT_WIDTH, TEXT_INNER, TEXT_LAYERS, VOCABULARY = 1024, 3072, 28, 151_669
CHANNELS, FRAMES = 64, 15_000
RATIOS = (10, 6, 4, 4, 2)
POOL_VALUES = 1 << 23

MODEL = {
    "hidden_size": WIDTH, "intermediate_size": INNER, "num_attention_heads": HEADS,
    "num_key_value_heads": SHARED_HEADS, "head_dim": HEAD, "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000, "sliding_window": 128, "timbre_fix_frame": 750, "in_channels": 192,
    "text_hidden_dim": TEXT_WIDTH, "audio_acoustic_hidden_dim": CHANNELS,
    "timbre_hidden_dim": CHANNELS, "patch_size": 2, "is_turbo": True, "model_version": "turbo",
}  # fmt: skip
TEXT = {
    "hidden_size": TEXT_WIDTH, "intermediate_size": TEXT_INNER, "num_hidden_layers": TEXT_LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": SHARED_HEADS, "head_dim": HEAD,
    "rms_norm_eps": 1e-6, "rope_theta": 1_000_000, "sliding_window": None, "vocab_size": VOCABULARY,
    "model_type": "qwen3",
}  # fmt: skip
VAE = {
    "_class_name": "AutoencoderOobleck", "encoder_hidden_size": 128,
    "downsampling_ratios": [2, 4, 4, 6, 10], "channel_multiples": [1, 2, 4, 8, 16],
    "decoder_channels": 128, "decoder_input_channels": CHANNELS, "audio_channels": 2,
    "sampling_rate": 48_000,
}  # fmt: skip


def write_checkpoint(folder: Path, blocks: int = 24) -> Path:
    """The whole checkpoint; blocks: layers of the diffusion transformer."""
    model = folder / "acestep-v15-turbo"
    kinds = ["full_attention" if index % 2 else "sliding_attention" for index in range(blocks)]
    _config(model, {**MODEL, "num_hidden_layers": blocks, "layer_types": kinds})
    _config(folder / "Qwen3-Embedding-0.6B", TEXT)
    _config(folder / "vae", VAE)
    write_safetensors(model / "model.safetensors", dict(_model_shapes(blocks)))
    write_safetensors(folder / "Qwen3-Embedding-0.6B" / "model.safetensors", dict(_text_shapes()))
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    write_safetensors(weights, dict([*_decoder_shapes(), *_encoder_shapes()]))
    _silence(model / "silence_latent.pt")
    _tokenizer(folder / "Qwen3-Embedding-0.6B" / "tokenizer.json")
    return folder


def write_safetensors(path: Path, shapes: Shapes) -> None:
    """Every tensor in bfloat16, drawn so that a random model neither dies out nor blows up."""
    header: dict[str, object] = {}
    position = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        offsets = [position, position + size]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": offsets}
        position += size
    text = json.dumps(header).encode()
    generator = np.random.default_rng(0)
    pool = generator.standard_normal(POOL_VALUES, dtype=np.float32)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            start = int(generator.integers(POOL_VALUES))
            stream.write(_upper_half(_drawn(name, shape, np.roll(pool, start))).tobytes())


def _drawn(name: str, shape: tuple[int, ...], pool: np.ndarray) -> np.ndarray:
    values = np.resize(pool, math.prod(shape))
    kind = name.rsplit(".", 1)[-1]
    if kind == "bias":
        return values * np.float32(0.02)
    if kind in ("alpha", "beta"):
        return values * np.float32(0.2)
    if kind == "weight_g":
        return np.float32(0.7) + values * np.float32(0.07)
    if kind == "scale_shift_table":
        return values * np.float32(0.1)
    if len(shape) == 1:
        return np.float32(1.0) + values * np.float32(0.1)
    if name == "embed_tokens.weight":
        return values * np.float32(0.03)
    return values * np.float32(1.0 / math.sqrt(math.prod(shape[1:])))


def _upper_half(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype("<u2")


def _layer(
    name: str, width: int, inner: int, norms: tuple[str, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _attention(f"{name}.self_attn", width, width)
    for norm in norms:
        yield f"{name}.{norm}.weight", (width,)
    for part in ("gate", "up"):
        yield f"{name}.mlp.{part}_proj.weight", (inner, width)
    yield f"{name}.mlp.down_proj.weight", (width, inner)


def _attention(name: str, width: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.q_proj.weight", (HEADS * HEAD, width)
    for part in ("k", "v"):
        yield f"{name}.{part}_proj.weight", (SHARED_HEADS * HEAD, inputs)
    yield f"{name}.o_proj.weight", (width, HEADS * HEAD)
    for part in ("q", "k"):
        yield f"{name}.{part}_norm.weight", (HEAD,)


def _affine(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _model_shapes(blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "null_condition_emb", (1, 1, WIDTH)
    yield "decoder.scale_shift_table", (1, 2, WIDTH)
    for index in range(blocks):
        name = f"decoder.layers.{index}"
        yield f"{name}.scale_shift_table", (1, 6, WIDTH)
        norms = ("self_attn_norm", "cross_attn_norm", "mlp_norm")
        yield from _layer(name, WIDTH, INNER, norms)
        yield from _attention(f"{name}.cross_attn", WIDTH, WIDTH)
    yield "decoder.proj_in.1.weight", (WIDTH, 3 * CHANNELS, 2)
    yield "decoder.proj_in.1.bias", (WIDTH,)
    for name in ("decoder.time_embed", "decoder.time_embed_r"):
        yield from _affine(f"{name}.linear_1", 256, WIDTH)
        yield from _affine(f"{name}.linear_2", WIDTH, WIDTH)
        yield from _affine(f"{name}.time_proj", WIDTH, 6 * WIDTH)
    yield from _affine("decoder.condition_embedder", WIDTH, WIDTH)
    yield "decoder.norm_out.weight", (WIDTH,)
    yield "decoder.proj_out.1.weight", (WIDTH, CHANNELS, 2)
    yield "decoder.proj_out.1.bias", (CHANNELS,)
    yield "encoder.text_projector.weight", (WIDTH, TEXT_WIDTH)
    norms = ("input_layernorm", "post_attention_layernorm")
    for name, inputs, layers in (("lyric", TEXT_WIDTH, 8), ("timbre", CHANNELS, 4)):
        yield from _affine(f"encoder.{name}_encoder.embed_tokens", inputs, WIDTH)
        yield f"encoder.{name}_encoder.norm.weight", (WIDTH,)
        for index in range(layers):
            yield from _layer(f"encoder.{name}_encoder.layers.{index}", WIDTH, INNER, norms)
    yield "encoder.timbre_encoder.special_token", (1, 1, WIDTH)


def _text_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embed_tokens.weight", (VOCABULARY, TEXT_WIDTH)
    norms = ("input_layernorm", "post_attention_layernorm")
    for index in range(TEXT_LAYERS):
        yield from _layer(f"layers.{index}", TEXT_WIDTH, TEXT_INNER, norms)
    yield "norm.weight", (TEXT_WIDTH,)


def _decoder_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Latents to sound."""
    widths = [128 * each for each in (16, 8, 4, 2, 1, 1)]
    yield from _convolution("decoder.conv1", widths[0], CHANNELS, 7)
    for block, ratio in enumerate(RATIOS):
        name, before, after = f"decoder.block.{block}", widths[block], widths[block + 1]
        yield from _snake(f"{name}.snake1", before)
        yield f"{name}.conv_t1.weight_g", (before, 1, 1)
        yield f"{name}.conv_t1.weight_v", (before, after, 2 * ratio)
        yield f"{name}.conv_t1.bias", (after,)
        yield from _residual_units(name, after)
    yield from _snake("decoder.snake1", widths[-1])
    yield "decoder.conv2.weight_g", (2, 1, 1)
    yield "decoder.conv2.weight_v", (2, widths[-1], 7)


def _encoder_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Sound to latents: mean and deviation."""
    widths = [128 * each for each in (1, 1, 2, 4, 8, 16)]
    yield from _convolution("encoder.conv1", widths[0], 2, 7)
    for block, ratio in enumerate(reversed(RATIOS)):
        name, before, after = f"encoder.block.{block}", widths[block], widths[block + 1]
        yield from _residual_units(name, before)
        yield from _snake(f"{name}.snake1", before)
        yield from _convolution(f"{name}.conv1", after, before, 2 * ratio)
    yield from _snake("encoder.snake1", widths[-1])
    yield from _convolution("encoder.conv2", 2 * CHANNELS, widths[-1], 3)


def _residual_units(block: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for unit in (1, 2, 3):
        for part, kernel in ((1, 7), (2, 1)):
            yield from _snake(f"{block}.res_unit{unit}.snake{part}", width)
            yield from _convolution(f"{block}.res_unit{unit}.conv{part}", width, width, kernel)


def _convolution(
    name: str, outputs: int, inputs: int, kernel: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight_g", (outputs, 1, 1)
    yield f"{name}.weight_v", (outputs, inputs, kernel)
    yield f"{name}.bias", (outputs,)


def _snake(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("alpha", "beta"):
        yield f"{name}.{part}", (1, channels, 1)


def _config(folder: Path, config: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _silence(path: Path) -> None:
    """What torch.save would write, as far as it is read: the storage, and its type's name."""
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, FRAMES), dtype=np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("silence_latent/data.pkl", b"torch FloatStorage")
        archive.writestr("silence_latent/data/0", values.tobytes())


def _tokenizer(path: Path) -> None:
    """A token a byte, and the end token that the real file appends too."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: index for index, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    end = "<|endoftext|>"
    tokenizer.add_special_tokens([AddedToken(end, special=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    tokenizer.save(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blocks", type=int, default=24)
    arguments = parser.parse_args()
    print(write_checkpoint(arguments.folder, arguments.blocks))


if __name__ == "__main__":
    main()
