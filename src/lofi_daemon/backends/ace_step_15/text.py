"""Caption and lyrics: tokens, then the rows that the diffusion transformer attends to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    TEXT_ENCODER,
    TIMBRE,
    TOKEN_EMBEDDINGS,
)
from lofi_daemon.backends.kit.arrays import read_array
from lofi_daemon.backends.kit.text import PromptTokenizer, TokenIds
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

MAX_CAPTION_TOKENS = 256
MAX_LYRIC_TOKENS = 2048

Rows = NDArray[np.float32]


class ConditionEncoder:
    """From two texts to float32 [1, rows, width]. Raises ModelNotFound and ModelLoadFailed."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._tokenizer = PromptTokenizer(folder)
        self.timbre: Rows = read_array(folder / TIMBRE)
        self._embeddings = OnnxModel(
            folder / f"{TOKEN_EMBEDDINGS}.onnx", settings, required_inputs=("input_ids",)
        )
        self._text = OnnxModel(
            folder / f"{TEXT_ENCODER}.onnx", settings, required_inputs=("token_embeddings",)
        )
        self._condition = OnnxModel(
            folder / f"{CONDITION_ENCODER}.onnx",
            settings,
            required_inputs=("text_hidden_states", "lyric_embeddings", "timbre"),
        )

    def tokenize(self, text: str, limit: int) -> TokenIds:
        """int64 [1, S]: at most `limit`, the end token that the tokenizer appends included."""
        return self._tokenizer.ids(text, limit)

    def text_states(self, ids: TokenIds, cancel: CancelToken) -> Rows:
        """Hidden states of the caption, float32 [1, S, text width]."""
        return self._text.run({"token_embeddings": self.embeddings(ids, cancel)}, cancel)[0]

    def embeddings(self, ids: TokenIds, cancel: CancelToken) -> Rows:
        """Rows of the table, float32 [1, S, text width]."""
        return self._embeddings.run({"input_ids": ids}, cancel)[0]

    def encode(self, caption: str, lyrics: str, cancel: CancelToken) -> Rows:
        """The rows of the lyrics, of silence's timbre, and of the caption."""
        feeds = {
            "text_hidden_states": self.text_states(
                self.tokenize(caption, MAX_CAPTION_TOKENS), cancel
            ),
            "lyric_embeddings": self.embeddings(self.tokenize(lyrics, MAX_LYRIC_TOKENS), cancel),
            "timbre": self.timbre,
        }
        return self._condition.run(feeds, cancel)[0]
