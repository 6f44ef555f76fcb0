"""``manifest.json``: what a bundle's files do not say about themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
INTERFACE = 1
EXPORT_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "transformers", "diffusers")


def file_entry(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of one file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def package_versions() -> dict[str, str]:
    """Versions of the packages that an export depends on."""
    return {name: version(name) for name in EXPORT_PACKAGES}


def write_manifest(folder: Path, content: dict[str, Any], files: Iterable[str]) -> Path:
    """Write ``content`` with versions and checksums of ``files`` into ``folder``."""
    manifest = {
        "interface": INTERFACE,
        **content,
        "versions": package_versions(),
        "files": {name: file_entry(folder / name) for name in sorted(files)},
    }
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path
