"""Smaller sets of an installed model, each a complete folder of its own inside the model's folder.

`quantize/model.py` makes them. Light on imports: which there are is asked at every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models.documents import MANIFEST, read_any
from lofi_daemon.models.store import exists, expected_files, read_record

Variant = Literal["int8", "int4"]
VARIANTS: tuple[Variant, ...] = ("int8", "int4")


def variant_folder(folder: Path, variant: str | None) -> Path:
    """Where the files lie that run: a variant's folder, or (None) the most precise set there is."""
    if variant == "original":
        return folder
    if variant is not None:
        return folder / variant
    if is_set(folder):
        return folder
    return next((folder / each for each in VARIANTS if is_set(folder / each)), folder)


def variant_repair(model: str, folder: Path) -> str:
    """What to do about a damaged variant."""
    bits = folder.name[-1]
    return f"Make these files again: `lofi-daemon quantize {model} --bits {bits}`."


@dataclass(frozen=True)
class VariantFacts:
    """bytes: what the folder's files take, links included."""

    model_version: str
    bytes: int


def describe(folder: Path) -> VariantFacts:
    """What a variant's manifest says of it."""
    files = expected_files(folder)
    return VariantFacts(
        manifest_of(folder)["model_version"], sum(each.bytes for each in files.values())
    )


def remove_original(folder: Path) -> int:
    """Delete the model's original files, variants staying; how many bytes that frees."""
    freed = 0
    record = read_record(folder)
    inside = [folder / name for name in record.files] if record is not None else []
    inside = [path for path in inside if folder.resolve() in path.resolve().parents]
    for path in {*folder.iterdir(), *inside}:
        if path.is_file():
            if path.stat().st_nlink == 1:
                freed += path.stat().st_size
            path.unlink()
    return freed


def manifest_of(folder: Path) -> dict[str, Any]:
    """manifest.json, or what its absence means."""
    path = folder / MANIFEST
    if exists(path):
        return read_any(path)
    return {"interface": 1, "form": "published", "model_version": "published"}


def is_set(folder: Path) -> bool:
    """Whether a complete set of files lies here, as far as can be seen from their names."""
    try:
        names = list(expected_files(folder)) or [path.name for path in folder.glob("*.onnx")]
    except ModelLoadFailed:
        return True  # there, but broken: loading it says how
    return bool(names) and all((folder / name).is_file() for name in names)
