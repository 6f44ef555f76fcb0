"""A smaller set of an installed model: a complete folder of its own inside the model's folder.

Files that did not change are links to the originals, so it costs what is new in it, and the
originals can go without it losing anything. Graphs that are made of convolutions over time become
such over images (see images.py).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelNotFound
from lofi_daemon.models.documents import MANIFEST, read_any, write_document
from lofi_daemon.models.making import CannotBeMade, SourceFile, begun, make_set, source_of, sums_of
from lofi_daemon.models.quantize.fastest_format import fastest_format
from lofi_daemon.models.quantize.graph import matrix_share, quantize_graph
from lofi_daemon.models.quantize.matrices import (
    MIN_ELEMENTS,
    MIN_SINGLE_ELEMENTS,
    QuantizePlan,
)
from lofi_daemon.models.store import RECORD, exists, is_complete
from lofi_daemon.onnx.external_weights import external_files, read_model
from lofi_daemon.onnx.images import convolutions_as_images
from lofi_daemon.onnx.weight_formats import WeightFormat

# How much 4 bits change each matrix that they were meant for.
SENSITIVITY = "sensitivity.json"
# Graphs below this size stay as they are; they cost neither memory nor time.
MIN_BYTES = 100_000_000
# And those of which so little are matrices that their rounding would buy nothing: the convolutions
# of the DCAE and the vocoder.
MIN_SHARE = 0.25
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
    Raises ModelNotFound, CannotBeMade, ModelLoadFailed, OSError, Cancelled.
    """
    if not is_complete(folder):
        raise ModelNotFound(
            f"{folder} does not hold the original files, which are needed to make {variant} files.",
            hint="Download the model first.",
        )
    target = folder / variant
    eight_bits = _eight_bits(target, options)
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
        raise CannotBeMade(f"no graph is large enough to be worth {variant}")
    replaced = {path.name for graph in large for path in (graph.path, *graph.weights)}
    files = {file.name for graph in graphs for file in (graph.path, *graph.weights)}
    source = source_of(folder, sorted(files), cancel)
    largest = max(graph.bytes for graph in graphs)
    total = sum(graph.bytes for graph in large)
    kept = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.name[0] != "." and path.name not in {*replaced, MANIFEST, RECORD}
    ]

    def write(unfinished: Path) -> dict[str, Any]:
        done = 0
        for graph in large:
            target_graph = unfinished / graph.path.name
            if not target_graph.is_file():

                def on_weight(
                    written: int, of: int, graph: _Graph = graph, before: int = done
                ) -> None:
                    on_progress(graph.path.name, (before + graph.bytes * written / of) / total)

                in_four_bits = variant == "int4" and graph.bytes == largest
                fewest = WeightFormat.INT4_BLOCKS if in_four_bits else plan.repeated
                its_plan = replace(plan, repeated=fewest)
                table = quantize_graph(graph.path, target_graph, its_plan, on_weight, cancel)
                if table:
                    write_document(unfinished / SENSITIVITY, json.dumps(table, indent=1) + "\n")
            done += graph.bytes
        for path in kept:
            _keep(path, unfinished / path.name)
        return _manifest(folder, variant, eight_bits.value, source)

    identity = {"eight_bits": eight_bits.value, "source": sums_of(source)}
    make_set(target, identity, write, cancel)
    return target


def _look(path: Path, plan: QuantizePlan) -> _Graph:
    model = read_model(path)
    weights = external_files(model, path.parent)
    size = sum(file.stat().st_size for file in (path, *weights))
    return _Graph(path, weights, size, matrix_share(model.graph, plan))


def _eight_bits(target: Path, options: QuantizeOptions) -> WeightFormat:
    """The format that an interrupted run began with, else the one asked for or measured."""
    before = begun(target) or {}
    if "eight_bits" in before:
        return WeightFormat(before["eight_bits"])
    return options.eight_bits or fastest_format(options.threads)


def _manifest(
    origin: Path, variant: str, eight_bits: str, source: Mapping[str, SourceFile]
) -> dict[str, Any]:
    """The original's manifest with what has changed: precision, version, what it is made of."""
    manifest = read_any(origin / MANIFEST) if exists(origin / MANIFEST) else dict(PUBLISHED)
    manifest["precision"] = variant
    manifest["model_version"] = f"{manifest['model_version']}-{variant}"
    manifest["quantization"] = {"eight_bits": eight_bits}
    if eight_bits != "int8-blocks":
        manifest["model_version"] += f"-{eight_bits.removeprefix('int8-')}"
    manifest["source"] = {name: file.model_dump() for name, file in source.items()}
    return manifest


def _keep(path: Path, target: Path) -> None:
    """A link to a file of the original, or a graph of it in the form that is fastest here."""
    if path.suffix == ".onnx":
        model = read_model(path)
        if convolutions_as_images(model):
            temporary = target.with_suffix(".onnx.part")
            onnx.save(model, str(temporary))
            temporary.replace(target)
            return
    _link(path, target)


def _link(path: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(path, link)
