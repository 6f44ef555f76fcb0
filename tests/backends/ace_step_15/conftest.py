"""The tiny checkpoint, and what is made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.parity.ace_step_15.checkpoints import write_original

MODEL = "acestep-v15-turbo"


@pytest.fixture(scope="session")
def pristine_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_original(tmp_path_factory.mktemp("original"))


@pytest.fixture
def model_folder(pristine_checkpoint: Path, tmp_path: Path) -> Path:
    """A model folder that holds the checkpoint as it is downloaded."""
    return Path(shutil.copytree(pristine_checkpoint, tmp_path / "ace-step-15"))
