"""Every graph against transformers' and diffusers' own modules, on other lengths than the set has.

The weights are the reference set's random ones; the modules are those of the installed versions.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
import transformers
from torch import nn

from lofi_daemon.backends.ace_step_15.bundle import AUDIO_TOKENS
from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.encode import AudioTokens, SoundEncoder
from lofi_daemon.backends.ace_step_15.graphs.audio_tokens import write_audio_tokens
from lofi_daemon.backends.ace_step_15.graphs.condition_encoder import write_timbre_encoder
from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.graph_writer import GraphWriter, Precision
from lofi_daemon.onnx.session import OnnxModel
from tests.parity.ace_step_15.checkpoints import diffusers_tensors, diffusers_transformer_config
from tests.parity.ace_step_15.conftest import SETTINGS
from tests.parity.ace_step_15.reference import REFERENCE, assert_same, module_weights

Pipelines = dict[str, AceStep15Pipeline]

NEVER = CancelToken()


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def loaded(module: nn.Module, tensors: dict[str, np.ndarray]) -> nn.Module:
    """The module with these weights; none may be missing or left over."""
    module.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return module.eval()


def transformer(variant: str) -> nn.Module:
    module = diffusers.AceStepTransformer1DModel(**diffusers_transformer_config(variant))
    return loaded(module, diffusers_tensors(variant)["transformer"])


def condition_encoder(variant: str) -> nn.Module:
    config = REFERENCE.config(variant)
    known = (
        "text_hidden_dim", "timbre_hidden_dim", "num_lyric_encoder_hidden_layers",
        "num_timbre_encoder_hidden_layers", "head_dim", "rope_theta", "rms_norm_eps",
        "sliding_window",
    )  # fmt: skip
    own = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    module = diffusers.AceStepConditionEncoder(
        **{name: config[name] for name in known},
        **{name: config.get(f"encoder_{name}") or config[name] for name in own},
    )
    return loaded(module, diffusers_tensors(variant)["condition_encoder"])


@pytest.mark.parametrize("variant", ["turbo", "xl"])
@pytest.mark.parametrize(("frames", "rows"), [(1, 1), (2, 5), (19, 3), (130, 41), (61, 12)])
def test_transformer(pipelines: Pipelines, variant: str, frames: int, rows: int) -> None:
    config = REFERENCE.config(variant)
    channels = config["audio_acoustic_hidden_dim"]
    latents, context = drawn(1, frames, channels), drawn(1, frames, 2 * channels)
    conditions = drawn(1, rows, config.get("encoder_hidden_size") or config["hidden_size"])
    level = np.float32(0.613)
    time = torch.tensor([float(level)])
    with torch.inference_mode():
        expected = transformer(variant)(
            torch.from_numpy(latents),
            time,
            time,
            torch.from_numpy(conditions),
            torch.from_numpy(context),
            return_dict=False,
        )[0]
    velocity = pipelines[variant].transformer.velocity(conditions, context, NEVER)
    assert_same(velocity(latents, level), expected.numpy())


@pytest.mark.parametrize("variant", ["turbo", "xl"])
@pytest.mark.parametrize(("text", "lyric"), [(1, 1), (13, 2), (7, 33)])
def test_condition_encoder(
    checkpoints: dict[str, Checkpoint],
    pipelines: Pipelines,
    tmp_path_factory: pytest.TempPathFactory,
    variant: str,
    text: int,
    lyric: int,
) -> None:
    config = REFERENCE.config(variant)
    states = drawn(1, text, config["text_hidden_dim"])
    lyrics = drawn(1, lyric, config["text_hidden_dim"])
    reference = drawn(1, checkpoints[variant].timbre_frames, config["timbre_hidden_dim"])

    def ones(count: int) -> torch.Tensor:
        return torch.ones(1, count, dtype=torch.long)

    with torch.inference_mode():
        expected, mask = condition_encoder(variant)(
            torch.from_numpy(states),
            ones(text),
            torch.from_numpy(lyrics),
            ones(lyric),
            torch.from_numpy(reference),
            torch.zeros(1, dtype=torch.long),
        )
    assert bool(mask.all())
    path = tmp_path_factory.mktemp("timbre") / "timbre_encoder.onnx"
    with GraphWriter(path, {}) as graph:
        write_timbre_encoder(graph, checkpoints[variant])
    timbre = OnnxModel(path, SETTINGS).run({"latents": reference}, NEVER)[0]
    feeds = {"text_hidden_states": states, "lyric_embeddings": lyrics, "timbre": timbre}
    rows = pipelines[variant].encoder._condition.run(feeds, NEVER)[0]
    if checkpoints[variant].has_timbre_token:
        # diffusers leaves out the learned token that the original's XL code puts in front: that
        # row is held against the original's own numbers.
        rows, expected = (
            np.delete(rows, lyric, axis=1),
            torch.cat((expected[:, :lyric], expected[:, lyric + 1 :]), dim=1),
        )
    assert_same(rows, expected.numpy())


@pytest.mark.parametrize("tokens", [1, 9, 70])
def test_text_encoder(pipelines: Pipelines, tokens: int) -> None:
    config = REFERENCE.config("text_encoder")
    known = {name: value for name, value in config.items() if name != "architectures"}
    module = transformers.Qwen3Model(transformers.Qwen3Config(**known))
    loaded(module, module_weights("text_encoder"))
    ids = np.random.default_rng(tokens).integers(config["vocab_size"], size=(1, tokens))
    with torch.inference_mode():
        expected = module(torch.from_numpy(ids)).last_hidden_state
        table = module.embed_tokens(torch.from_numpy(ids))
    encoder = pipelines["turbo"].encoder
    assert_same(encoder.embeddings(ids, NEVER), table.numpy())
    assert_same(encoder.text_states(ids, NEVER), expected.numpy())


def autoencoder() -> nn.Module:
    config = REFERENCE.config("vae")
    known = {name: value for name, value in config.items() if not name.startswith("_")}
    return loaded(diffusers.AutoencoderOobleck(**known), module_weights("vae"))


# At 276 and 283 one frame of overlap too few makes a window less: its border would be heard.
@pytest.mark.parametrize("frames", [1, 37, 276, 283, 301])
def test_autoencoder(pipelines: Pipelines, frames: int) -> None:
    latents = drawn(1, frames, REFERENCE.config("vae")["decoder_input_channels"])
    with torch.inference_mode():
        expected = autoencoder().decode(torch.from_numpy(latents.transpose(0, 2, 1))).sample
    pieces = pipelines["turbo"].decoder.pieces(latents, lambda share: None, NEVER)
    assert_same(np.concatenate(list(pieces), axis=1), expected.numpy()[0])


# At 268 and 270 frames two windows share no more than they must.
@pytest.mark.parametrize("frames", [1, 142, 268, 270])
def test_reading_sound(pipelines: Pipelines, frames: int) -> None:
    pipeline = pipelines["turbo"]
    audio = pipeline.manifest.audio
    sound = np.float32(0.3) * drawn(2, frames * audio.samples_per_frame)
    with torch.inference_mode():
        told = autoencoder().encode(torch.from_numpy(sound.clip(-1, 1))[None]).latent_dist
    encoder = SoundEncoder(pipeline.folder, audio, SETTINGS)
    shares: list[float] = []
    latents = encoder.latents(sound, shares.append, NEVER)
    assert_same(latents, told.mean.numpy().transpose(0, 2, 1))
    assert shares == ([1.0] if frames <= audio.encoder_window_frames else [0.5, 1.0])


def audio_tokens(variant: str, window: int) -> nn.Module:
    """diffusers' tokenizer and its inverse, one after the other."""
    config = REFERENCE.config(variant)
    own = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    shared = {
        **{name: config.get(f"encoder_{name}") or config[name] for name in own},
        **{name: config[name] for name in ("audio_acoustic_hidden_dim", "head_dim", "rope_theta")},
        "num_attention_pooler_hidden_layers": config["num_attention_pooler_hidden_layers"],
        "rms_norm_eps": config["rms_norm_eps"],
        "sliding_window": window,
    }
    tensors = diffusers_tensors(variant)
    levels = config["fsq_input_levels"]
    tokenizer = diffusers.AceStepAudioTokenizer(
        **shared, fsq_dim=shared["hidden_size"], fsq_input_levels=levels
    )
    inverse = diffusers.AceStepAudioTokenDetokenizer(**shared)
    loaded(tokenizer, tensors["audio_tokenizer"])
    loaded(inverse, tensors["audio_token_detokenizer"])

    class Both(nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return inverse(tokenizer.tokenize(latents)[0])

    return Both()


# Groups are six and five positions long: a window of two hides some of them from each other.
@pytest.mark.parametrize("window", [2, 128])
@pytest.mark.parametrize("variant", ["turbo", "xl"])
def test_audio_tokens(
    checkpoints: dict[str, Checkpoint],
    tmp_path_factory: pytest.TempPathFactory,
    variant: str,
    window: int,
) -> None:
    checkpoint = copy.copy(checkpoints[variant])
    checkpoint.__dict__["encoder"] = replace(checkpoint.encoder, window=window)
    folder = tmp_path_factory.mktemp("tokens")
    with GraphWriter(folder / f"{AUDIO_TOKENS}.onnx", {}) as graph:
        write_audio_tokens(graph, checkpoint, Precision.FP32)
    latents = drawn(1, 35, checkpoint.autoencoder.latent_channels)
    with torch.inference_mode():
        expected = audio_tokens(variant, window)(torch.from_numpy(latents)).numpy()
    outline = AudioTokens(folder, SETTINGS).outline(latents, latents[:, :0], NEVER)
    assert_same(outline, expected)
