"""The prompt: tokens, then hidden states of the text encoder (UMT5 in the published model)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.bundle import TEXT_ENCODER
from lofi_daemon.backends.kit.text import PromptTokenizer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import Array, OnnxModel, SessionSettings

MAX_TOKENS = 256
WEAKENED = 0.01


@dataclass(frozen=True)
class TokenIds:
    """ids and mask: int64 [1, S]."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


@dataclass(frozen=True)
class TextStates:
    """hidden: float32 [1, S, width]; mask: int64 [1, S]."""

    hidden: NDArray[np.float32]
    mask: NDArray[np.int64]


class TextEncoder:
    """Tokenizer and encoder. Raises ModelNotFound and ModelLoadFailed, naming the file."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._tokenizer = PromptTokenizer(folder)
        self._model = OnnxModel(
            folder / f"{TEXT_ENCODER}.onnx",
            settings,
            required_inputs=("input_ids", "attention_mask"),
        )

    @property
    def can_weaken(self) -> bool:
        """Whether the graph takes the query scale that ERG needs."""
        return self._model.accepts("query_scale")

    def tokenize(self, prompt: str) -> TokenIds:
        """At most 256 tokens, the end mark included."""
        ids = self._tokenizer.ids(prompt, MAX_TOKENS)
        return TokenIds(ids, np.ones_like(ids))

    def encode(
        self, tokens: TokenIds, cancel: CancelToken, *, query_scale: float = 1.0
    ) -> TextStates:
        """query_scale below 1 weakens the attention of the layers that ERG weakens."""
        feeds: dict[str, Array] = {"input_ids": tokens.ids, "attention_mask": tokens.mask}
        if self.can_weaken:
            feeds["query_scale"] = np.array(query_scale, dtype=np.float32)
        return TextStates(self._model.run(feeds, cancel)[0], tokens.mask)
