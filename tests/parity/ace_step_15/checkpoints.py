"""The reference checkpoint as files, in the layout of the original and in that of diffusers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.parity.ace_step_15.reference import REFERENCE, module_weights, silence

FOLDERS = {"turbo": "acestep-v15-turbo", "xl": "acestep-v15-xl-turbo"}
TEXT_ENCODER = "Qwen3-Embedding-0.6B"
END = "<|endoftext|>"
TOKENIZERS = {"tokenizer": "audio_tokenizer", "detokenizer": "audio_token_detokenizer"}


def write_original(
    folder: Path, variant: str = "turbo", dtype: torch.dtype = torch.float32
) -> Path:
    """The layout of the Hub repository ACE-Step/Ace-Step1.5."""
    model = folder / FOLDERS[variant]
    _write(model / "model.safetensors", module_weights(variant), dtype)
    _config(model, REFERENCE.config(variant))
    torch.save(torch.from_numpy(silence(variant)).to(dtype), model / "silence_latent.pt")
    _write_common(folder, TEXT_ENCODER, TEXT_ENCODER, dtype)
    return folder


def diffusers_tensors(variant: str) -> dict[str, dict[str, np.ndarray]]:
    """The tensors of each of diffusers' modules, by their names there."""
    parts: dict[str, dict[str, np.ndarray]] = {"transformer": {}, "condition_encoder": {}}
    parts |= {folder: {} for folder in TOKENIZERS.values()}
    for name, tensor in module_weights(variant).items():
        part, _, rest = name.partition(".")
        if part == "decoder":
            parts["transformer"][_renamed(rest)] = tensor
        elif part == "encoder":
            parts["condition_encoder"][_renamed(rest)] = tensor
        elif part in TOKENIZERS:
            parts[TOKENIZERS[part]][_renamed(rest)] = tensor
        elif part == "null_condition_emb":
            parts["condition_encoder"][part] = tensor
    parts["condition_encoder"]["silence_latent"] = silence(variant).transpose(0, 2, 1)
    return parts


def diffusers_transformer_config(variant: str) -> dict[str, object]:
    """What diffusers' transformer is built with."""
    config = REFERENCE.config(variant)
    names = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "in_channels", "audio_acoustic_hidden_dim", "patch_size",
        "rope_theta", "rms_norm_eps", "sliding_window", "layer_types",
    )  # fmt: skip
    encoder_width = config.get("encoder_hidden_size") or config["hidden_size"]
    return {**{name: config[name] for name in names}, "encoder_hidden_size": encoder_width}


def write_diffusers(folder: Path, variant: str = "turbo") -> Path:
    """The layout of ACE-Step/acestep-v15-xl-turbo-diffusers."""
    config = REFERENCE.config(variant)
    encoder = {
        name: config.get(f"encoder_{name}") or config[name]
        for name in (
            "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
        )
    }  # fmt: skip
    shared = {
        name: config[name] for name in ("head_dim", "rope_theta", "rms_norm_eps", "sliding_window")
    }
    _config(folder / "transformer", {**config, "encoder_hidden_size": encoder["hidden_size"]})
    _config(folder / "condition_encoder", {**encoder, **shared})
    for part in TOKENIZERS.values():
        _config(folder / part, {"fsq_input_levels": config["fsq_input_levels"]})
    for part, tensors in diffusers_tensors(variant).items():
        _write(folder / part / "diffusion_pytorch_model.safetensors", tensors, torch.float32)
    _write_common(folder, "text_encoder", "tokenizer", torch.float32)
    return folder


def write_tokenizer(path: Path) -> None:
    """A token a byte, and an end token appended to every text, as in the set's own tokenizer."""
    symbols = {symbol: byte for byte, symbol in bytes_to_unicode().items()}
    tokenizer = Tokenizer(models.BPE(symbols, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, end)]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def _write_common(folder: Path, text_name: str, tokenizer: str, dtype: torch.dtype) -> None:
    _write(folder / text_name / "model.safetensors", module_weights("text_encoder"), dtype)
    _config(folder / text_name, REFERENCE.config("text_encoder"))
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    _write(weights, module_weights("vae"), dtype)
    _config(folder / "vae", REFERENCE.config("vae"))
    write_tokenizer(folder / tokenizer / "tokenizer.json")


def _renamed(name: str) -> str:
    for ours, theirs in (
        ("q_proj", "to_q"), ("k_proj", "to_k"), ("v_proj", "to_v"), ("o_proj", "to_out.0"),
        ("q_norm", "norm_q"), ("k_norm", "norm_k"),
        ("proj_in.1", "proj_in_conv"), ("proj_out.1", "proj_out_conv"),
    ):  # fmt: skip
        name = name.replace(f"{ours}.", f"{theirs}.")
    return name


def _write(path: Path, tensors: Mapping[str, np.ndarray], dtype: torch.dtype) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            name: torch.from_numpy(np.ascontiguousarray(tensor)).to(dtype)
            for name, tensor in tensors.items()
        },
        path,
    )


def _config(folder: Path, config: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
