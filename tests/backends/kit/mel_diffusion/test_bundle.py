"""Manifests: the published defaults, broken files, other interfaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.errors import ModelLoadFailed


def test_a_folder_without_a_manifest_holds_the_published_files(tmp_path: Path) -> None:
    manifest = read_manifest(tmp_path)
    assert manifest.form == "published"
    assert manifest.latents.inside is None
    assert manifest.mel.inside is None
    assert not manifest.erg


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "the document"),
        ('{"defaults": {"inference_steps": "many"}}', "defaults.inference_steps"),
        ('{"files": {"vocoder.onnx": {"bytes": 1}}}', "files.vocoder.onnx.sha256"),
    ],
)
def test_a_broken_manifest_is_named_with_the_place(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelLoadFailed, match=r"manifest\.json is broken at " + where):
        read_manifest(tmp_path)


def test_another_interface_is_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"interface": 2}))
    with pytest.raises(ModelLoadFailed, match="interface 2; this version runs 1"):
        read_manifest(tmp_path)
