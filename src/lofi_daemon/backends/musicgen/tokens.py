"""The loop over tokens: window after window, column after column of the delay pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lofi_daemon.backends.musicgen.bundle import DecoderConfig
from lofi_daemon.backends.musicgen.continuation import Stretch
from lofi_daemon.backends.musicgen.decoder import TokenDecoder
from lofi_daemon.backends.musicgen.delay_pattern import (
    UNKNOWN,
    Codes,
    codebook_delays,
    delayed,
    undelayed,
)
from lofi_daemon.backends.musicgen.sampling import TEMPERATURE, TOP_K, sample, uniform_draws
from lofi_daemon.backends.musicgen.text import TextStates
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; top_k = 1 is greedy."""

    seed: int
    top_k: int = TOP_K
    temperature: float = TEMPERATURE


def generate_tokens(
    decoder: TokenDecoder,
    config: DecoderConfig,
    text: TextStates,
    windows: list[Stretch],
    sampling: Sampling,
    cancel: CancelToken,
    beginning: Codes | None = None,
) -> Iterator[Codes]:
    """The codes of a track, int64 [K, n], of each frame as soon as its last codebook is drawn.

    beginning: int64 [K, P], what the track goes on from, as much as the first window knows of it;
    only what comes after it is given. A window's known frames are copied from the window before,
    never drawn again. Raises ModelInferenceFailed naming the frame, Cancelled.
    """
    delays = codebook_delays(config.num_codebooks, config.audio_channels)
    codes = np.zeros((config.num_codebooks, windows[-1].stop), dtype=np.int64)
    if beginning is not None:
        codes[:, : beginning.shape[1]] = beginning
    longest = max(window.frames for window in windows)
    try:
        decoder.attend(text, longest + max(delays), cancel)
        for index, window in enumerate(windows):
            known = codes[:, window.start : window.start + window.known]
            grid = delayed(known, window.frames, delays, config.pad_token_id)
            draws = uniform_draws(sampling.seed, index, grid.shape[1], config.num_codebooks)
            decoder.restart()
            seen = 0
            for column in range(window.known + 1, grid.shape[1]):
                logits = decoder.logits(grid[:, seen:column], cancel)
                if not np.isfinite(logits).all():
                    raise ModelInferenceFailed(
                        f"The decoder gave NaN or Inf at token frame {window.start + column - 1}.",
                        step=window.start + column - 1,
                    )
                tokens = sample(
                    logits, draws[column], top_k=sampling.top_k, temperature=sampling.temperature
                )
                grid[:, column] = np.where(grid[:, column] == UNKNOWN, tokens, grid[:, column])
                seen = column
                whole = column - max(delays)
                if whole > window.known:
                    frame = undelayed(grid, whole - 1, whole, delays)
                    codes[:, window.start + whole - 1 : window.start + whole] = frame
                    yield frame
    finally:
        decoder.release()
    return codes
