"""Files that Optimum itself exported run unchanged, and are recognised for the native form."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.musicgen.continuation import Stretch
from lofi_daemon.backends.musicgen.files import (
    MusicGenConfiguration,
    MusicGenFiles,
    VariantName,
)
from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
from lofi_daemon.backends.musicgen.tokens import Sampling, generate_tokens
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

FIXTURE = Path(__file__).parent / "optimum_musicgen"
IDS = np.array([[2, 4, 5, 1]])
FRAMES = 40


@pytest.mark.parametrize(
    ("variant", "version"), [("original", "2x32-published"), (None, "2x32-native-fp32")]
)
def test_the_sound_is_that_of_transformers(
    tmp_path: Path, variant: VariantName | None, version: str
) -> None:
    folder = tmp_path / "musicgen"
    shutil.copytree(FIXTURE, folder)
    cancel = CancelToken()
    files = MusicGenFiles(folder, MusicGenConfiguration(variant=variant), threads=1)
    made = files.prepared(lambda file, share: None, cancel)
    assert made is not None
    assert made.version == version
    pipeline = MusicGenPipeline(made.folder, SessionSettings(threads=1))
    tokens = generate_tokens(
        pipeline.decoder,
        pipeline.config.decoder,
        pipeline.text_encoder.encode(IDS, cancel),
        [Stretch(0, 0, FRAMES)],
        Sampling(seed=0, top_k=1),
        cancel,
    )
    codes = np.concatenate(list(tokens), axis=1)
    actual = pipeline.codec.samples(codes, cancel)
    expected = np.load(FIXTURE / "greedy.npy")
    assert actual.shape == expected.shape
    assert np.linalg.norm(actual - expected) / np.linalg.norm(expected) < 1e-3
