"""Sets of files made of the reference checkpoint by the code under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.make import SetOptions, make_set
from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.graph_writer import Precision
from lofi_daemon.onnx.session import SessionSettings
from tests.parity.ace_step_15.checkpoints import FOLDERS, write_original

SETTINGS = SessionSettings(threads=2)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """The turbo and the XL checkpoint in the original's layout."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return {
        variant: Checkpoint.find(write_original(folder, variant), FOLDERS[variant])
        for variant in FOLDERS
    }


def made(checkpoint: Checkpoint, folder: Path, precision: Precision = Precision.FP32) -> Path:
    options = SetOptions(precision=precision, session=SETTINGS)
    make_set(checkpoint, folder, options, lambda file, share: None, CancelToken())
    return folder


@pytest.fixture(scope="session")
def sets(
    checkpoints: dict[str, Checkpoint], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders of both checkpoints' float32 sets."""
    folder = tmp_path_factory.mktemp("sets")
    return {
        variant: made(checkpoint, folder / variant) for variant, checkpoint in checkpoints.items()
    }


@pytest.fixture(scope="session")
def pipelines(sets: dict[str, Path]) -> dict[str, AceStep15Pipeline]:
    return {variant: AceStep15Pipeline(folder, SETTINGS) for variant, folder in sets.items()}
