"""Which matrices of the diffusion transformer 4 bits hurt, and what 8 bits there would cost.

Builds the transformer with real widths, fewer blocks and random weights; makes its int4 graph with
one kind of matrix at a time left in 8 bits, and compares one call with fp32. The rules in
`lofi_daemon.models.quantize.matrices` come from this table::

    python -m benchmarks.sensitivity --blocks 4
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.ace_step import graph_path, inputs, log
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.quantize.graph import quantize_graph
from lofi_daemon.models.quantize.matrices import MIN_SINGLE_ELEMENTS, QuantizePlan
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.onnx.weight_formats import WeightFormat

ATTENTION = ("to_q", "to_k", "to_v", "to_out")
KINDS = (
    *(f".attn.{part}" for part in ATTENTION),
    *(f"cross_attn.{part}" for part in ATTENTION),
    "cross_attn",
    "inverted_conv",
    "point_conv",
)
INT4, INT8 = WeightFormat.INT4_BLOCKS, WeightFormat.INT8_COLUMNS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensitivity", description=__doc__)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--frames", type=int, default=323)
    parser.add_argument("--folder", type=Path, help="where the fp32 graph is kept and looked for")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        source = graph_path(folder, "fp32")
        if not source.is_file():
            from benchmarks.random_model import export_random_denoiser, real_size

            export_random_denoiser(source.parent, real_size(arguments.blocks), report=log)
        Table(source, Path(scratch), arguments.frames).show()


class Table:
    """Graphs made from one source, compared with it on one call."""

    def __init__(self, source: Path, scratch: Path, frames: int) -> None:
        self._source = source
        self._scratch = scratch
        self._feeds = inputs(frames, 32, 1)
        self._expected = self._call(source)

    def show(self) -> None:
        print("in 8 bits                    error of one call   size GB")
        everything = QuantizePlan(INT8, INT8, min_single_elements=1)
        self._row("everything", everything)
        self._row("everything, both ends fp32", QuantizePlan(INT8, INT8))
        self._row(
            "both ends, rest in 4", QuantizePlan(INT4, INT8, min_single_elements=1, sensitive=())
        )
        print("with both ends in fp32 and the rest in 4 bits")
        self._row("nothing", QuantizePlan(INT4, INT8, sensitive=()))
        for kind in KINDS:
            self._row(kind, QuantizePlan(INT4, INT8, sensitive=(kind,)))
        print(f"(both ends: matrices that stand alone and are smaller than {MIN_SINGLE_ELEMENTS})")

    def _row(self, title: str, plan: QuantizePlan) -> None:
        target = self._scratch / "transformer_decoder.onnx"
        quantize_graph(self._source, target, plan, lambda written, of: None, CancelToken())
        difference = self._call(target) - self._expected
        error = np.linalg.norm(difference) / np.linalg.norm(self._expected)
        size = target.stat().st_size + target.with_suffix(".bin").stat().st_size
        print(f"{title:28} {error:17.1%} {size / 1e9:9.2f}", flush=True)

    def _call(self, path: Path) -> np.ndarray:
        model = OnnxModel(path, SessionSettings(arena=False))
        feeds = dict(self._feeds)
        if model.accepts("query_scale"):
            feeds["query_scale"] = np.ones(1, dtype=np.float32)
        return model.run(feeds, CancelToken())[0]


if __name__ == "__main__":
    main()
