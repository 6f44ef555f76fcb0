"""The reference numbers, and the models they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.bundles import exported_reference
from tests.parity.reference_set import REFERENCE, ReferenceSet


@pytest.fixture(scope="session")
def reference() -> ReferenceSet:
    """The arrays: ``reference["loops"]["noise"]``."""
    return REFERENCE


@pytest.fixture(scope="session")
def reference_export() -> Path:
    """Folder with the reference checkpoint and its exports."""
    return exported_reference()


@pytest.fixture(scope="session")
def reference_checkpoint(reference_export: Path) -> Path:
    """Folder of the checkpoint in the original's layout."""
    return reference_export / "checkpoint"


@pytest.fixture(scope="session")
def native_bundle(reference_export: Path) -> Path:
    """Folder of the reference model in native form."""
    return reference_export / "native"


@pytest.fixture(scope="session")
def published_bundle(reference_export: Path) -> Path:
    """Folder of the reference model in published form, without a manifest like the real one."""
    return reference_export / "published"
