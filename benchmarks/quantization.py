"""The diffusion transformer at its real size in fp32, int8 and int4: speed, memory, size, error.

Builds the transformer with random weights (or takes a graph that is there), makes the smaller
ones with the daemon's own quantisation, and measures each in a process of its own: seconds a
call, peak memory, bytes on disk, and how far one call and the latents after 27 solver steps are
from fp32. Random weights are the hardest case: nothing in them is redundant. ::

    python -m benchmarks.quantization            # 24 GB of memory, 25 GB of disk
    python -m benchmarks.quantization --blocks 4 # the same per block, in a few minutes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ace_step import inputs, log, peak_memory, timed

PRECISIONS = ("fp32", "int8", "int4")


def graph_path(folder: Path, precision: str) -> Path:
    return folder / precision / "transformer_decoder.onnx"


def build(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export the random transformer."""
    from benchmarks.random_transformer import export_random_denoiser, real_size

    export_random_denoiser(
        graph_path(arguments.folder, "fp32").parent, real_size(arguments.blocks), report=log
    )
    return {"peak_bytes": peak_memory()}


def measure_formats(arguments: argparse.Namespace) -> dict[str, Any]:
    """The measurement that chooses the 8-bit format."""
    from lofi_daemon.models.fastest_format import measure_formats as measured

    return {each.value: seconds for each, seconds in measured(arguments.threads).items()}


def quantize(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the int8 or int4 graph."""
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.models.quantize import QuantizePlan, quantize_graph
    from lofi_daemon.models.weight_formats import WeightFormat

    eight_bits = WeightFormat(arguments.eight_bits)
    repeated = WeightFormat.INT4_BLOCKS if arguments.precision == "int4" else eight_bits
    target = graph_path(arguments.folder, arguments.precision)
    target.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    quantize_graph(
        graph_path(arguments.folder, "fp32"),
        target,
        QuantizePlan(repeated, eight_bits),
        lambda written, of: None,
        CancelToken(),
    )
    return {"seconds": time.perf_counter() - started, "peak_bytes": peak_memory()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time calls, solve, and keep the results for comparison."""
    from lofi_daemon.backends.ace_step.schedule import flow_schedule
    from lofi_daemon.backends.ace_step.solvers import solve_euler
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import OnnxModel, SessionSettings

    path = graph_path(arguments.folder, arguments.precision)
    settings = SessionSettings(threads=arguments.threads, arena=False)
    started = time.perf_counter()
    model = OnnxModel(path, settings)
    loading = time.perf_counter() - started
    token = CancelToken()
    feeds = inputs(arguments.frames, arguments.context, 1)
    if model.accepts("query_scale"):
        feeds["query_scale"] = np.ones(1, dtype=np.float32)
    seconds = timed(lambda: model.run(feeds, token), arguments.repeats)
    one_call = model.run(feeds, token)[0]

    def velocity(latents: np.ndarray, timestep: np.float32, iteration: int) -> np.ndarray:
        step = {"hidden_states": latents, "timestep": np.full(1, timestep, dtype=np.float32)}
        return model.run({**feeds, **step}, token)[0]

    latents = solve_euler(
        velocity,
        feeds["hidden_states"],
        flow_schedule(arguments.steps),
        lambda iteration, latents: None,
        10.0,
    )
    np.savez(arguments.folder / f"{arguments.precision}.npz", one_call=one_call, latents=latents)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return {**seconds, "loading": loading, "peak_bytes": peak_memory(), "bytes": size}


STEPS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "build": build,
    "formats": measure_formats,
    "quantize": quantize,
    "measure": measure,
}


def relative_error(folder: Path, precision: str, of: str) -> float:
    """Root mean square of the difference to fp32, relative to fp32's."""
    expected = np.load(folder / "fp32.npz")[of]
    actual = np.load(folder / f"{precision}.npz")[of]
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def report(arguments: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    print(
        f"{arguments.blocks} blocks × 2560, {arguments.frames} frames, context "
        f"{arguments.context}, {arguments.threads} threads, {arguments.steps} steps"
    )
    print("            call s  cpu s   load s  peak GB  disk GB  error: one call  final latents")
    for precision in PRECISIONS:
        result = results[precision]
        errors = ""
        if precision != "fp32":
            one, final = (
                relative_error(arguments.folder, precision, of) for of in ("one_call", "latents")
            )
            errors = f"  {one:15.1%}  {final:13.1%}"
        print(
            f"{precision:10} {result['wall']:7.2f}  {result['processor']:6.2f}  "
            f"{result['loading']:6.1f}  {result['peak_bytes'] / 1e9:7.2f}  "
            f"{result['bytes'] / 1e9:7.2f}{errors}"
        )


def main() -> None:
    """Measure all precisions and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--frames", type=int, default=323, help="latent frames; 323 are 30 s")
    parser.add_argument("--context", type=int, default=32)
    parser.add_argument("--steps", type=int, default=27)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where graphs are kept and looked for")
    parser.add_argument("--precision", choices=PRECISIONS, help=argparse.SUPPRESS)
    parser.add_argument("--eight-bits", help="int8-columns or int8-blocks; measured if not given")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        arguments.folder = arguments.folder or Path(scratch)
        passed = [
            f"--{name}={getattr(arguments, name)}"
            for name in ("blocks", "frames", "context", "steps", "repeats", "threads", "folder")
        ]

        def run(step: str, *more: str) -> dict[str, Any]:
            log(f"{step} {' '.join(more)} …")
            command = [sys.executable, "-m", "benchmarks.quantization", "--step", step]
            completed = subprocess.run(
                [*command, *passed, *more], check=True, stdout=subprocess.PIPE, text=True
            )
            return json.loads(completed.stdout)

        if not graph_path(arguments.folder, "fp32").is_file():
            run("build")
        if arguments.eight_bits is None:
            formats = run("formats")
            arguments.eight_bits = min(formats, key=formats.__getitem__)
            print({name: f"{1000 * seconds:.1f} ms" for name, seconds in formats.items()})
        results: dict[str, dict[str, Any]] = {}
        for precision in PRECISIONS:
            chosen = (f"--precision={precision}", f"--eight-bits={arguments.eight_bits}")
            if precision != "fp32" and not graph_path(arguments.folder, precision).is_file():
                made = run("quantize", *chosen)
                print(
                    f"{precision} made in {made['seconds']:.0f} s, "
                    f"peak memory {made['peak_bytes'] / 1e9:.2f} GB"
                )
            results[precision] = run("measure", *chosen)
        report(arguments, results)


if __name__ == "__main__":
    main()
