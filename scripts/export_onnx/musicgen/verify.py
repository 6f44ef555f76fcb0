"""Every exported graph against transformers' own forward pass on the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import MusicGenConfig, read_config
from lofi_daemon.backends.musicgen.codec import EncodecDecoder
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder, TokenDecoder
from lofi_daemon.backends.musicgen.encoder import EncodecEncoder
from lofi_daemon.backends.musicgen.sampling import GUIDANCE_SCALE, guided
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

from ..verify import Expectation, VerificationError, relative_error, verify_graph

# Largest error relative to the spread of what PyTorch gives.
LIMIT = 1e-3
# Of integers the root mean square: single logits stray far. What rounding costs is reported, and
# refused only where the graph must be wrong.
QUANTISED_LIMITS = {"int8": 0.2, "int4": 1.0}
# Where two entries of a codebook are equally near, rounding decides.
DIFFERENT_CODES = 0.01
COLUMNS = 12
PROMPT = 8
FRAMES = 40

SEED = 5


@dataclass(frozen=True)
class Agreement:
    """logit_error: root mean square of the difference over that of the logits; top_1: share of
    columns and codebooks whose most probable token is the same."""

    logit_error: float
    top_1: float


def verify_shared(model: Any, folder: Path) -> None:
    """text_encoder and both halves of EnCodec. Raises VerificationError."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for length in (3, 9):
            ids = torch.randint(
                model.text_encoder.config.vocab_size, (1, length), generator=generator
            )
            mask = torch.ones_like(ids)
            states = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
            verify_graph(
                folder / "text_encoder.onnx",
                [Expectation(f"{length} tokens", inputs, [states.numpy()])],
                LIMIT,
            )
    config = read_config(folder)
    codes = np.random.default_rng(SEED).integers(
        config.decoder.vocab_size, size=(config.decoder.num_codebooks, FRAMES)
    )
    codec = EncodecDecoder(folder, config, SessionSettings())
    error = relative_error(codec.samples(codes, CancelToken()), reference_samples(model, codes))
    _require("encodec_decode.onnx", error, LIMIT)
    verify_encoder(model, folder)


def verify_encoder(model: Any, folder: Path) -> None:
    """encodec_encode. Raises VerificationError."""
    config = MusicGenConfig.model_validate(model.config.to_dict())
    samples = np.random.default_rng(SEED).standard_normal(
        (config.decoder.audio_channels, FRAMES * config.audio_encoder.hop_length), dtype=np.float32
    )
    encoder = EncodecEncoder(folder, config, SessionSettings())
    found = encoder.codes(0.2 * samples, lambda share: None, CancelToken())
    different = float((found != reference_codes(model, 0.2 * samples)).mean())
    if different > DIFFERENT_CODES:
        raise VerificationError(f"encodec_encode.onnx gives {different:.1%} other tokens")


def verify_decoder(model: Any, folder: Path, precision: str = "fp32") -> Agreement:
    """The decoder graphs: a prompt in one call, then single columns. Raises VerificationError."""
    config = read_config(folder).decoder
    draws = np.random.default_rng(SEED)
    text = draws.standard_normal((1, 6, model.text_encoder.config.d_model), dtype=np.float32)
    codes = draws.integers(config.vocab_size, size=(config.num_codebooks, COLUMNS))
    native = (folder / "decoder.onnx").is_file()
    decoder: TokenDecoder = (NativeDecoder if native else PublishedDecoder)(
        folder, config, SessionSettings()
    )
    cancel = CancelToken()
    decoder.attend(text, COLUMNS, cancel)
    found = [decoder.logits(codes[:, :PROMPT], cancel).copy()]
    for column in range(PROMPT, COLUMNS):
        found.append(decoder.logits(codes[:, [column]], cancel).copy())
    actual = np.stack(found, axis=1)
    expected = reference_logits(model, text, codes)[:, PROMPT - 1 :]
    found_agreement = agreement(actual, expected)
    if precision == "fp32":
        _require("the decoder", relative_error(actual, expected), LIMIT)
    else:
        _require("the decoder", found_agreement.logit_error, QUANTISED_LIMITS[precision])
    return found_agreement


def agreement(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Of logits [K, S, V] each."""
    error = np.linalg.norm(actual - expected) / np.linalg.norm(expected - expected.mean())
    return Agreement(float(error), float((actual.argmax(-1) == expected.argmax(-1)).mean()))


def reference_logits(
    model: Any, text: NDArray[np.float32], codes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """transformers' guided logits after every column, float32 [K, S, V].

    text: hidden states f32 [1, E, width]; codes: i64 [K, S] in the delay pattern.
    """
    states = torch.from_numpy(np.concatenate((text, np.zeros_like(text))))
    mask = torch.ones(states.shape[:2], dtype=torch.long)
    mask[1] = 0
    with torch.no_grad():
        logits = model(
            encoder_outputs=(states,),
            attention_mask=mask,
            decoder_input_ids=torch.from_numpy(np.concatenate((codes, codes))),
        ).logits
    pair = logits.float().numpy().reshape(2, codes.shape[0], codes.shape[1], -1)
    return guided(pair, GUIDANCE_SCALE)


def reference_samples(model: Any, codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """EnCodec's decode in transformers, float32 [channels, samples]; codes: i64 [K, S]."""
    channels = model.decoder.config.audio_channels
    with torch.no_grad():
        sounds = [
            model.audio_encoder.decode(
                torch.from_numpy(codes[channel::channels].copy())[None, None], [None]
            ).audio_values[0]
            for channel in range(channels)
        ]
    return torch.cat(sounds).numpy()


def reference_codes(model: Any, samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """EnCodec's encode in transformers, int64 [K, S]; samples: f32 [channels, hop · S]."""
    channels = len(samples)
    with torch.no_grad():
        each = [
            model.audio_encoder.encode(torch.from_numpy(sound)[None, None]).audio_codes[0, 0]
            for sound in samples
        ]
    codes = np.empty((channels * len(each[0]), each[0].shape[1]), dtype=np.int64)
    for channel, found in enumerate(each):
        codes[channel::channels] = found.numpy()
    return codes


def _require(what: str, error: float, limit: float) -> None:
    if not error <= limit:
        raise VerificationError(
            f"{what} differs from PyTorch by {error:.1e} of the standard deviation; "
            f"the limit is {limit:.0e}"
        )
