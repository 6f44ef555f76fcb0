"""A checkpoint of ACE-Step 1.5 on disk: its sizes, and its tensors one at a time.

Both layouts are read: the original's (one `model.safetensors` for transformer, encoders and
tokenizer) and that of diffusers (a folder a component). Tensors are asked for by the original's
names.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.weights import (
    DTYPES,
    INDEX,
    Weights,
    largest_of,
    open_weights,
    values_of,
    widened,
)
from lofi_daemon.errors import ModelLoadFailed

_STORAGES = {"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"}
SILENCE_FRAMES = 15_000
FSQ_LEVELS = (8, 8, 8, 5, 5, 5)
# The autoencoder's own silence, to two places, where the published one was looked at.
STEADY_SILENCE = {13: 1.60, 14: -2.67, 19: -5.09, 29: -1.71, 48: -1.26, 56: -2.92}
SILENCE_TOLERANCE = 0.1

# Folders of diffusers' layout, in newer conversions alone, by the original's names.
_TOKENIZERS = {"tokenizer": "audio_tokenizer", "detokenizer": "audio_token_detokenizer"}
_TO_DIFFUSERS = (
    (".q_proj.", ".to_q."),
    (".k_proj.", ".to_k."),
    (".v_proj.", ".to_v."),
    (".o_proj.", ".to_out.0."),
    (".q_norm.", ".norm_q."),
    (".k_norm.", ".norm_k."),
    ("proj_in.1.", "proj_in_conv."),
    ("proj_out.1.", "proj_out_conv."),
)


@dataclass(frozen=True)
class Stack:
    """The sizes of a stack of transformer layers.

    sliding: of each layer, whether its self-attention sees only `window` positions to each side.
    """

    width: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_size: int
    epsilon: float
    theta: float
    window: int
    sliding: tuple[bool, ...]

    def is_sliding(self, layer: int) -> bool:
        """Beyond what is said layers alternate, the first of them sliding."""
        return self.sliding[layer] if layer < len(self.sliding) else layer % 2 == 0


@dataclass(frozen=True)
class AutoencoderSizes:
    """Sizes of the Oobleck autoencoder; ratios: of the decoder's blocks, first to last."""

    latent_channels: int
    audio_channels: int
    sample_rate: int
    channels: int
    multiples: tuple[int, ...]
    ratios: tuple[int, ...]

    @property
    def samples_per_frame(self) -> int:
        return int(np.prod(self.ratios))


class Checkpoint:
    """The folders of one model. Raises ModelLoadFailed where one cannot be read.

    model: the folder of the diffusion model; text_encoder, vae: of the other two.
    """

    def __init__(self, model: Path, text_encoder: Path, vae: Path, tokenizer: Path) -> None:
        self.model = model
        self.text_encoder = text_encoder
        self.vae = vae
        self.tokenizer = tokenizer

    @classmethod
    def find(cls, folder: Path, model: str = "acestep-v15-turbo") -> Checkpoint:
        """The checkpoint in a folder of either layout; model: its folder's name in the original.

        Raises ModelLoadFailed where there is none.
        """
        if (folder / "transformer" / "config.json").is_file():
            return cls(folder, folder / "text_encoder", folder / "vae", folder / "tokenizer")
        if (folder / model / "config.json").is_file():
            text = folder / "Qwen3-Embedding-0.6B"
            return cls(folder / model, text, folder / "vae", text)
        raise ModelLoadFailed(
            f"{folder} holds neither {model}/config.json nor transformer/config.json.",
            hint="Name the folder that the checkpoint was downloaded into.",
        )

    @property
    def files(self) -> list[Path]:
        """Every file that a set is made of."""
        names = ("config.json", "*.safetensors", f"*{INDEX}", "*.pt")
        if self._is_diffusers:
            names_of_parts = ("transformer", "condition_encoder", *_TOKENIZERS.values())
            folders = [self.model / part for part in names_of_parts]
        else:
            folders = [self.model]
        found = [
            path
            for folder in (*folders, self.text_encoder, self.vae)
            for name in names
            for path in sorted(folder.glob(name))
        ]
        return [*found, self.tokenizer / "tokenizer.json"]

    @cached_property
    def decoder(self) -> Stack:
        """The diffusion transformer."""
        return _stack(self._model_config, "")

    @cached_property
    def encoder(self) -> Stack:
        """Lyric and timbre encoders."""
        if self._is_diffusers:
            return _stack(_config(self.model / "condition_encoder"), "")
        return _stack(self._model_config, "encoder_")

    @cached_property
    def language_model(self) -> Stack:
        """The text encoder."""
        config = _config(self.text_encoder)
        return _stack({**config, "sliding_window": 0, "layer_types": None}, "")

    @cached_property
    def autoencoder(self) -> AutoencoderSizes:
        config = _config(self.vae)
        try:
            return AutoencoderSizes(
                latent_channels=config["decoder_input_channels"],
                audio_channels=config["audio_channels"],
                sample_rate=config["sampling_rate"],
                channels=config["decoder_channels"],
                multiples=tuple(config["channel_multiples"]),
                ratios=tuple(reversed(config["downsampling_ratios"])),
            )
        except (KeyError, TypeError) as error:
            raise _incomplete(self.vae, error) from error

    @property
    def is_turbo(self) -> bool:
        return bool(self._model_config.get("is_turbo", False))

    @property
    def kind(self) -> str:
        """turbo, base or sft."""
        return str(
            self._model_config.get("model_version") or ("turbo" if self.is_turbo else "base")
        )

    @property
    def has_timbre_token(self) -> bool:
        """Whether a learned token stands in front of the timbre frames: in the XL models alone."""
        return self.encoder.width != self.decoder.width

    @property
    def text_width(self) -> int:
        return self.language_model.width

    @property
    def timbre_frames(self) -> int:
        return int(self._model_config.get("timbre_fix_frame", 750))

    @property
    def hears(self) -> bool:
        """Whether the autoencoder's encoder is there: what reads sound."""
        return "encoder.conv1.weight_v" in self._vae_file.names

    @property
    def has_audio_tokens(self) -> bool:
        """Whether the 5 Hz tokenizer and its inverse are there."""
        if self._is_diffusers:
            return all((self.model / part).is_dir() for part in _TOKENIZERS.values())
        return "tokenizer.audio_acoustic_proj.weight" in self._transformer_file.names

    @property
    def token_levels(self) -> tuple[int, ...]:
        """How many values each channel of a token can have."""
        folder = self.model / _TOKENIZERS["tokenizer"]
        config = _config(folder) if self._is_diffusers else self._model_config
        return tuple(config.get("fsq_input_levels") or FSQ_LEVELS)

    def layers_of(self, prefix: str) -> int:
        """How many layers a stack of that name has, which ends in a norm."""
        file, name = self._place(f"{prefix}.norm.weight")
        start = name.removesuffix("norm.weight") + "layers."
        return len(
            {each[len(start) :].split(".")[0] for each in file.names if each.startswith(start)}
        )

    @property
    def values_of_a_set(self) -> int:
        """About how many values a set is made of: each tensor that it needs once."""
        if self._is_diffusers:
            files = (self._transformer_file, self._encoder_file, *self._tokenizer_files.values())
            model = sum(values_of(file, "") for file in files)
        else:
            parts = ("decoder.", "encoder.", "tokenizer.", "detokenizer.")
            model = sum(values_of(self._transformer_file, part) for part in parts)
        return model + values_of(self._text_file, "") + values_of(self._vae_file, "")

    @property
    def largest_tensor(self) -> int:
        """How many values it holds."""
        files = (self._transformer_file, self._encoder_file, self._text_file, self._vae_file)
        return max(largest_of(file) for file in files)

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A tensor of the diffusion model by the original's name."""
        file, its_name = self._place(name)
        return file.read(its_name)

    def text_tensor(self, name: str) -> NDArray[np.float32]:
        return self._text_file.read(name)

    def vae_tensor(self, name: str) -> NDArray[np.float32]:
        return self._vae_file.read(name)

    def vae_shape(self, name: str) -> tuple[int, ...]:
        return self._vae_file.shape(name)

    def silence(self) -> NDArray[np.float32]:
        """The latents of silence, float32 [frames, channels]."""
        if self._is_diffusers:
            return self._encoder_file.read("silence_latent")[0]
        values = read_single_tensor(self.model / "silence_latent.pt")
        channels = self.autoencoder.latent_channels
        if values.size != channels * SILENCE_FRAMES:
            raise ModelLoadFailed(
                f"Model file {self.model / 'silence_latent.pt'} has {values.size} values instead "
                f"of {channels} · {SILENCE_FRAMES}."
            )
        return np.ascontiguousarray(values.reshape(channels, SILENCE_FRAMES).T)

    @property
    def _is_diffusers(self) -> bool:
        return (self.model / "transformer").is_dir()

    @cached_property
    def _model_config(self) -> dict[str, Any]:
        return _config(self.model / "transformer" if self._is_diffusers else self.model)

    @cached_property
    def _text_file(self) -> Weights:
        return open_weights(self.text_encoder / "model.safetensors")

    @cached_property
    def _vae_file(self) -> Weights:
        return open_weights(self.vae / "diffusion_pytorch_model.safetensors")

    @cached_property
    def _transformer_file(self) -> Weights:
        return open_weights(self._weights_of("transformer"))

    @cached_property
    def _encoder_file(self) -> Weights:
        return open_weights(self._weights_of("condition_encoder"))

    @cached_property
    def _tokenizer_files(self) -> dict[str, Weights]:
        """Of those folders that are there, by the names that the original has for them."""
        name = "diffusion_pytorch_model.safetensors"
        folders = {ours: self.model / theirs for ours, theirs in _TOKENIZERS.items()}
        return {
            ours: open_weights(folder / name) for ours, folder in folders.items() if folder.is_dir()
        }

    def _weights_of(self, component: str) -> Path:
        if self._is_diffusers:
            return self.model / component / "diffusion_pytorch_model.safetensors"
        return self.model / "model.safetensors"

    def _place(self, name: str) -> tuple[Weights, str]:
        if not self._is_diffusers:
            return self._transformer_file, name
        part, _, rest = name.partition(".")
        for ours, theirs in _TO_DIFFUSERS:
            rest = rest.replace(ours, theirs)
        if part == "decoder":
            return self._transformer_file, rest
        if part in _TOKENIZERS:
            return self._tokenizer_files[part], rest
        return self._encoder_file, rest or part


def read_single_tensor(path: Path) -> NDArray[np.float32]:
    """The values of a PyTorch file of one contiguous tensor, from its raw storage.

    The pickle inside is searched for the name of the storage's type and never executed.
    Raises ModelLoadFailed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            storages = [name for name in archive.namelist() if "/data/" in name]
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(storages) != 1 or len(pickles) != 1:
                raise ValueError(f"it holds {len(storages)} tensors instead of one")
            description = archive.read(pickles[0])
            kinds = [kind for kind in _STORAGES if kind.encode() in description]
            kinds = [kind for kind in kinds if not any(kind != o and kind in o for o in kinds)]
            if len(kinds) != 1:
                raise ValueError("its type is not one that a model here has")
            raw = archive.read(storages[0])
        return widened(np.frombuffer(raw, dtype=DTYPES[_STORAGES[kinds[0]]]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelLoadFailed(f"Model file {path} cannot be read: {error}.") from error


def is_known_silence(silence: NDArray[np.float32]) -> bool:
    """Whether latents [frames, channels] end in the values that the published silence has."""
    steady = silence[len(silence) // 2]
    return silence.shape[1] == 64 and all(
        abs(float(steady[channel]) - value) < SILENCE_TOLERANCE
        for channel, value in STEADY_SILENCE.items()
    )


def _stack(config: Mapping[str, Any], prefix: str) -> Stack:
    def size(name: str) -> int:
        return int(config.get(prefix + name) or config[name])

    try:
        layers = int(config.get("num_hidden_layers") or 0)
        kinds = config.get("layer_types") or [
            "full_attention" if index % 2 else "sliding_attention" for index in range(layers)
        ]
        return Stack(
            width=size("hidden_size"),
            intermediate=size("intermediate_size"),
            heads=size("num_attention_heads"),
            key_value_heads=size("num_key_value_heads"),
            head_size=int(config["head_dim"]),
            epsilon=float(config["rms_norm_eps"]),
            theta=float(config.get("rope_theta") or config["rope_parameters"]["rope_theta"]),
            window=int(config["sliding_window"] or 0),
            sliding=tuple(kind == "sliding_attention" for kind in kinds),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelLoadFailed(f"A config.json of the checkpoint lacks {error}.") from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadFailed(f"Model file {path} cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise ModelLoadFailed(f"Model file {path} is no object.")
    return config


def _incomplete(folder: Path, error: Exception) -> ModelLoadFailed:
    return ModelLoadFailed(f"Model file {folder / 'config.json'} lacks {error}.")
