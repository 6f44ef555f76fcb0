"""What memory a track is said to need."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofi_daemon.backends.ace_step_15.bundle import Manifest
from lofi_daemon.backends.ace_step_15.needs import needs
from lofi_daemon.backends.kit import residency
from lofi_daemon.backends.protocol import Phase


@pytest.mark.parametrize("saturates", [True, False])
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_exact_products_of_bytes_hold_matrices_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, saturates: bool
) -> None:
    monkeypatch.setattr(residency, "byte_products_saturate", lambda: saturates)
    manifest = Manifest(model_version="1", precision=precision)
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    (tmp_path / "transformer.bin").write_bytes(bytes(1000))
    expected = 1650 if saturates and precision == "int8" else 1000
    assert needs(tmp_path, 60.0)[Phase.DIFFUSING].model == expected


def test_only_the_transformers_work_grows_with_the_track(tmp_path: Path) -> None:
    manifest = Manifest(model_version="1", precision="int8")
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    short, long = needs(tmp_path, 60.0), needs(tmp_path, 240.0)
    grown = [phase for phase in short if long[phase].working > short[phase].working]
    assert grown == [Phase.DIFFUSING]
