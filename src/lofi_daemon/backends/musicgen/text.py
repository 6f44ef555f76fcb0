"""The prompt: tokens, then hidden states of the text encoder (T5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.text import PromptTokenizer, TokenIds
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

TextStates = NDArray[np.float32]

MAX_TOKENS = 512


class TextEncoder:
    """Tokenizer and encoder. Raises ModelNotFound and ModelLoadFailed, naming the file."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._tokenizer = PromptTokenizer(folder)
        self._model = OnnxModel(
            folder / "text_encoder.onnx",
            settings,
            required_inputs=("input_ids", "attention_mask"),
        )

    def tokenize(self, prompt: str) -> TokenIds:
        """int64 [1, S]: at most 512 tokens, the end mark included."""
        return self._tokenizer.ids(prompt, MAX_TOKENS)

    def encode(self, ids: TokenIds, cancel: CancelToken) -> TextStates:
        """Hidden states float32 [1, S, width]; every token counts, there is no padding."""
        return self._model.run({"input_ids": ids, "attention_mask": np.ones_like(ids)}, cancel)[0]
