"""Prompts to tokens, by the tokenizer that lies in a model's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lofi_daemon.errors import ModelLoadFailed

TokenIds = NDArray[np.int64]
TOKENIZER = "tokenizer.json"


class PromptTokenizer:
    """Raises ModelLoadFailed, naming the file, where it is missing or broken."""

    def __init__(self, folder: Path) -> None:
        path = folder / TOKENIZER
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # what is written in Rust raises Exception itself
            raise ModelLoadFailed(f"Model file {path} cannot be loaded: {error}") from error
        self._tokenizer.no_padding()

    def ids(self, text: str, limit: int) -> TokenIds:
        """int64 [1, S]: at most `limit` tokens, an end mark that belongs to them included."""
        self._tokenizer.enable_truncation(limit)
        return np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
