"""Tiny random MusicGen models and their exports, made once for a run of the tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from scripts.export_onnx.musicgen.export import export_native, export_published
from scripts.export_onnx.musicgen.tiny import tiny_model, write_tokenizer


@cache
def model(channels: int = 1) -> Any:
    """transformers' MusicgenForConditionalGeneration: 2 layers, width 64, 4 codebooks a channel."""
    return tiny_model(channels=channels)


@cache
def published_folder(opset: int = 17) -> Path:
    folder = _root() / f"published-{opset}"
    export_published(model(), _tokenizer(), folder, opset=opset)
    return folder


@cache
def native_folder(precision: str = "fp32", channels: int = 1) -> Path:
    folder = _root() / f"native-{precision}-{channels}"
    export_native(model(channels), _tokenizer(), folder, precision)
    return folder


@cache
def _root() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-musicgen-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _tokenizer() -> Path:
    path = _root() / "tokenizer.json"
    write_tokenizer(path)
    return path
