"""A smaller set of an installed model: a complete folder of its own inside the model's folder.

Files that did not change are links to the originals, so it costs what is new in it, and the
originals can go without it losing anything.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed, ModelNotFound
from lofi_daemon.models.checksums import Checksums
from lofi_daemon.models.documents import MANIFEST, read_any, write_document
from lofi_daemon.models.quantize.fastest_format import measure_formats
from lofi_daemon.models.quantize.graph import matrix_share, quantize_graph
from lofi_daemon.models.quantize.matrices import (
    MIN_ELEMENTS,
    MIN_SINGLE_ELEMENTS,
    QuantizePlan,
)
from lofi_daemon.models.store import RECORD, exists, is_complete
from lofi_daemon.onnx.external_weights import external_files, read_model
from lofi_daemon.onnx.weight_formats import WeightFormat

# How much 4 bits change each matrix that they were meant for.
SENSITIVITY = "sensitivity.json"
# Graphs below this size stay as they are; they cost neither memory nor time.
MIN_BYTES = 100_000_000
# And those of which so little are matrices that their rounding would buy nothing: the convolutions
# of the DCAE and the vocoder.
MIN_SHARE = 0.25
_BEGUN = ".begun"
# What the files say of themselves that come without a manifest.
PUBLISHED: Mapping[str, Any] = {"interface": 1, "form": "published", "model_version": "published"}

OnProgress = Callable[[str, float], None]
"""Gets the file that is being written and the share of the whole work that is done."""


@dataclass(frozen=True)
class _Graph:
    """A graph, the files of its weights, the bytes of all, and how much of them are matrices."""

    path: Path
    weights: list[Path]
    bytes: int
    matrix_share: float


@dataclass(frozen=True)
class QuantizeOptions:
    """eight_bits: the format where 8 bits are wanted; None: the one that is measured to be faster.

    min_bytes and the others: smaller graphs and matrices stay as they are.
    """

    eight_bits: WeightFormat | None = None
    threads: int | None = None
    min_bytes: int = MIN_BYTES
    min_elements: int = MIN_ELEMENTS
    min_single_elements: int = MIN_SINGLE_ELEMENTS


def quantize_model(
    folder: Path,
    variant: str,
    options: QuantizeOptions,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> Path:
    """Make the variant of the model in `folder`; its folder. Interrupted, it goes on next time.

    With 4 bits, the text and context encoders, what is sensitive (see matrices.py) and the layers
    outside the repeated blocks keep 8: everything passes through them.
    Raises ModelNotFound, ModelLoadFailed, OSError, Cancelled.
    """
    if not is_complete(folder):
        raise ModelNotFound(
            f"{folder} does not hold the original files, which are needed to make {variant} files.",
            hint="Download the model first.",
        )
    target, unfinished = folder / variant, folder / f".{variant}"
    unfinished.mkdir(parents=True, exist_ok=True)
    eight_bits = _eight_bits(unfinished, options)
    plan = QuantizePlan(
        eight_bits,
        eight_bits,
        min_elements=options.min_elements,
        min_single_elements=options.min_single_elements,
    )
    graphs = [_look(path, plan) for path in sorted(folder.glob("*.onnx"))]
    large = [
        graph
        for graph in graphs
        if graph.bytes >= options.min_bytes and graph.matrix_share >= MIN_SHARE
    ]
    if not large:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ModelLoadFailed(
            f"{folder} has no graph large enough to be worth {variant}.",
            hint="Use the files as they are.",
        )
    replaced = {path.name for graph in large for path in (graph.path, *graph.weights)}
    largest = max(graph.bytes for graph in graphs)
    total, done = sum(graph.bytes for graph in large), 0
    for graph in large:
        target_graph = unfinished / graph.path.name
        if not target_graph.is_file():

            def on_weight(written: int, of: int, graph: _Graph = graph, before: int = done) -> None:
                on_progress(graph.path.name, (before + graph.bytes * written / of) / total)

            in_four_bits = variant == "int4" and graph.bytes == largest
            its_plan = replace(plan, repeated=WeightFormat.INT4_BLOCKS) if in_four_bits else plan
            table = quantize_graph(graph.path, target_graph, its_plan, on_weight, cancel)
            if table:
                write_document(unfinished / SENSITIVITY, json.dumps(table, indent=1) + "\n")
        done += graph.bytes
    for path in folder.iterdir():
        is_new = path.name in {*replaced, MANIFEST, RECORD}
        if path.is_file() and not is_new and path.name[0] != ".":
            _link(path, unfinished / path.name)
    (unfinished / _BEGUN).unlink()
    _write_manifest(folder, unfinished, variant, eight_bits.value, cancel)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.replace(target)
    return target


def _look(path: Path, plan: QuantizePlan) -> _Graph:
    model = read_model(path)
    weights = external_files(model, path.parent)
    size = sum(file.stat().st_size for file in (path, *weights))
    return _Graph(path, weights, size, matrix_share(model.graph, plan))


def _eight_bits(unfinished: Path, options: QuantizeOptions) -> WeightFormat:
    """The format that an interrupted run began with, else the one asked for or measured."""
    begun = unfinished / _BEGUN
    if begun.is_file():
        return WeightFormat(begun.read_text(encoding="utf-8"))
    if options.eight_bits is not None:
        chosen = options.eight_bits
    else:
        seconds = measure_formats(options.threads)
        chosen = min(seconds, key=seconds.__getitem__)
    write_document(begun, chosen.value)
    return chosen


def _write_manifest(
    origin: Path, target: Path, variant: str, eight_bits: str, cancel: CancelToken
) -> None:
    """The original's manifest with what has changed: precision, version, files and their sums."""
    manifest = read_any(origin / MANIFEST) if exists(origin / MANIFEST) else dict(PUBLISHED)
    checksums = Checksums()
    names = sorted(path.name for path in target.iterdir() if path.is_file())
    manifest["precision"] = variant
    manifest["model_version"] = f"{manifest['model_version']}-{variant}"
    manifest["quantization"] = {"eight_bits": eight_bits}
    if eight_bits != "int8-blocks":
        manifest["model_version"] += f"-{eight_bits.removeprefix('int8-')}"
    manifest["files"] = {
        name: {
            "bytes": (target / name).stat().st_size,
            "sha256": checksums.of(target / name, cancel),
        }
        for name in names
        if name != MANIFEST
    }
    write_document(target / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _link(path: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(path, link)
