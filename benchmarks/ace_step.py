"""ACE-Step's diffusion transformer at its real size: PyTorch, and ours in fp32, int8 and int4.

Builds the transformer (24 blocks of width 2560, random weights, 10 GB), exports it, makes the
smaller ones with the daemon's own quantisation, and measures each in a process of its own: seconds
a call, GFLOP/s against what a matrix product reaches here, peak memory, bytes on disk, and how far
one call and the latents after 27 solver steps are from fp32. Random weights are the hardest case:
nothing in them is redundant. In the end a whole track, as it was made before and is made now (see
ace_step_track.py). Both clocks are given: on a machine that does other things too, processor time
is the one to compare. ::

    python -m benchmarks.ace_step            # 24 GB of memory, 15 GB of disk, half an hour
    python -m benchmarks.ace_step --blocks 4 # the same per block, in a few minutes
    python -m benchmarks.ace_step --only track   # the last table, without PyTorch's figures
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ace_step_track as track
from benchmarks.measuring import clocked, peak_memory, process, said

PRODUCTS = ((323, 2560, 12800), (2048, 2048, 2048))
"""What the machine can reach is the better of a block's largest product and a square one."""

BLOCKS = 24
OURS = ("fp32", "int8", "int4")
PYTORCH = ("pytorch-fp32", "pytorch-bf16")

Result = dict[str, Any]


def floating_point_operations(blocks: int, frames: int, context: int, batch: int) -> float:
    """Of one call: two for every multiply-add of a matrix product."""
    width, hidden = 2560, 6400
    attention = 4 * width * width + 2 * width * 128
    cross_attention = 2 * width * width + 2 * width * context
    feed_forward = 3 * width * hidden
    per_frame = blocks * (attention + cross_attention + feed_forward)
    per_frame += 128 * 2048 + 2048 * width + width * 128
    once = blocks * 2 * width * width * context + 8 * width * width
    return 2.0 * batch * (frames * per_frame + once)


def inputs(frames: int, context: int, batch: int) -> dict[str, np.ndarray]:
    """One call's inputs; every item of the batch has its own timestep."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    return {
        "hidden_states": normal(batch, 8, 16, frames),
        "attention_mask": np.ones((batch, frames), dtype=np.float32),
        "encoder_hidden_states": normal(batch, context, 2560),
        "encoder_hidden_mask": np.ones((batch, context), dtype=np.float32),
        "timestep": np.array([500.5, 250.25][:batch], dtype=np.float32),
    }


def timed(call: Callable[[], Any], repeats: int) -> dict[str, float]:
    """The best call's wall seconds, and the best's processor seconds, after one not counted."""
    call()
    wall, processor = zip(*(clocked(call) for _ in range(repeats)), strict=True)
    return {"wall": min(wall), "processor": min(processor)}


def measure_gemm(arguments: argparse.Namespace) -> Result:
    """GFLOP/s of the best product in PyTorch, by wall time and by processor time of a thread."""
    import torch

    torch.set_num_threads(arguments.threads)
    best = {"wall": 0.0, "processor": 0.0}
    for rows, inner, columns in PRODUCTS:
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        seconds = timed(functools.partial(torch.matmul, left, right), 20)
        for clock in best:
            rate = 2.0 * rows * inner * columns / seconds[clock] / 1e9
            best[clock] = max(best[clock], rate)
    return best


def graph_path(folder: Path, precision: str) -> Path:
    return folder / precision / "transformer_decoder.onnx"


def export_graph(arguments: argparse.Namespace) -> Result:
    """Write the float32 graph; checks it against PyTorch on the way."""
    from benchmarks.random_model import export_random_denoiser, real_size

    folder = graph_path(arguments.folder, "fp32").parent
    export_random_denoiser(folder, real_size(arguments.blocks), report=log)
    return {"peak_bytes": peak_memory()}


def measure_formats(arguments: argparse.Namespace) -> Result:
    """The measurement that chooses the 8-bit format."""
    from lofi_daemon.models.quantize.fastest_format import fastest_right
    from lofi_daemon.models.quantize.fastest_format import measure_formats as measured

    found = measured(arguments.threads)
    return {
        "chosen": fastest_right(found).value,
        "seconds": {each.value: product.seconds for each, product in found.items()},
        "errors": {each.value: product.error for each, product in found.items()},
    }


def quantize(arguments: argparse.Namespace) -> Result:
    """Make the int8 or int4 graph."""
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.models.quantize.graph import quantize_graph
    from lofi_daemon.models.quantize.matrices import QuantizePlan
    from lofi_daemon.onnx.weight_formats import WeightFormat

    eight_bits = WeightFormat(arguments.eight_bits)
    repeated = WeightFormat.INT4_BLOCKS if arguments.contender == "int4" else eight_bits
    target = graph_path(arguments.folder, arguments.contender)
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


def measure_ours(arguments: argparse.Namespace) -> Result:
    """The graph in the daemon's own session: time calls, solve, keep the results for comparison."""
    from lofi_daemon.backends.kit.mel_diffusion.schedule import flow_schedule
    from lofi_daemon.backends.kit.mel_diffusion.solvers import solve_euler
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import OnnxModel, SessionSettings

    path = graph_path(arguments.folder, arguments.contender)
    started = time.perf_counter()
    model = OnnxModel(path, SessionSettings(threads=arguments.threads, arena=False))
    loading = time.perf_counter() - started
    token = CancelToken()
    feeds = inputs(arguments.frames, arguments.context, arguments.batch)
    if model.accepts("query_scale"):
        feeds["query_scale"] = np.ones(arguments.batch, dtype=np.float32)
    seconds = timed(lambda: model.run(feeds, token), arguments.repeats)
    one_call = model.run(feeds, token)[0]

    def velocity(latents: np.ndarray, timestep: np.float32, iteration: int) -> np.ndarray:
        timesteps = np.full(arguments.batch, timestep, dtype=np.float32)
        step = {"hidden_states": latents, "timestep": timesteps}
        return model.run({**feeds, **step}, token)[0]

    schedule = flow_schedule(arguments.steps)
    latents = solve_euler(
        velocity, feeds["hidden_states"], schedule, lambda iteration, latents: None, 10.0
    )
    results = arguments.folder / f"{arguments.contender}.npz"
    np.savez(results, one_call=one_call, latents=latents)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return {**seconds, "loading": loading, "peak_bytes": peak_memory(), "bytes": size}


def measure_pytorch(arguments: argparse.Namespace) -> Result:
    """The module that the graph was exported from, in float32 or bfloat16."""
    import torch

    from benchmarks.random_model import random_transformer, real_size

    dtype = torch.bfloat16 if arguments.contender.endswith("bf16") else torch.float32
    torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    model = random_transformer(real_size(arguments.blocks), dtype=dtype)
    loading = time.perf_counter() - started
    feeds = inputs(arguments.frames, arguments.context, arguments.batch)
    tensors = [torch.from_numpy(array).to(dtype) for array in feeds.values()]
    with torch.inference_mode():
        seconds = timed(lambda: model.decode(*tensors), arguments.repeats)
    return {**seconds, "loading": loading, "peak_bytes": peak_memory()}


def measure_calls(arguments: argparse.Namespace) -> Result:
    """Seconds of a call of one row, and of a guided pair of rows, of all 24 blocks."""
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import OnnxModel, SessionSettings

    path = graph_path(arguments.folder, arguments.contender)
    model = OnnxModel(path, SessionSettings(threads=arguments.threads, arena=False))
    token = CancelToken()
    found: Result = {}
    for rows in (1, 2):
        feeds = inputs(arguments.frames, arguments.context, rows)
        if model.accepts("query_scale"):
            feeds["query_scale"] = np.ones(rows, dtype=np.float32)
        seconds = timed(functools.partial(model.run, feeds, token), arguments.repeats)
        found[str(rows)] = {
            clock: each * BLOCKS / arguments.blocks for clock, each in seconds.items()
        }
    return found


def export_decoders(arguments: argparse.Namespace) -> Result:
    """Write the graphs that make sound of latents."""
    track.export(arguments.folder, log)
    return {"peak_bytes": peak_memory()}


def measure_decoder(arguments: argparse.Namespace) -> Result:
    """Latents to the waveform, before and now."""
    return track.measure_decoder(
        arguments.folder,
        arguments.contender,
        arguments.decoded or arguments.frames,
        arguments.threads,
    )


STEPS: dict[str, Callable[[argparse.Namespace], Result]] = {
    "gemm": measure_gemm,
    "export": export_graph,
    "formats": measure_formats,
    "quantize": quantize,
    "ours": measure_ours,
    "pytorch": measure_pytorch,
    "calls": measure_calls,
    "export-decoders": export_decoders,
    "decoder": measure_decoder,
}


def log(line: str) -> None:
    """Progress goes to stderr, the result to stdout."""
    print(line, file=sys.stderr, flush=True)


def relative_error(folder: Path, precision: str, of: str) -> float:
    """Root mean square of the difference to fp32, relative to fp32's."""
    expected = np.load(folder / "fp32.npz")[of]
    actual = np.load(folder / f"{precision}.npz")[of]
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def run_all(arguments: argparse.Namespace) -> None:
    """Every step in a process of its own, then the table."""
    passed = [
        f"--{name}={getattr(arguments, name)}"
        for name in (
            "blocks",
            "frames",
            "context",
            "batch",
            "steps",
            "repeats",
            "threads",
            "decoded",
        )
    ] + [f"--folder={arguments.folder}"]

    def run(step: str, contender: str = "", eight_bits: str = "") -> Result:
        log(f"{step} {contender} …")
        chosen = (f"--contender={contender}", f"--eight-bits={eight_bits}")
        return json.loads(said(process("benchmarks.ace_step", "--step", step, *passed, *chosen)))

    gemm = run("gemm")
    print(
        f"{arguments.blocks} blocks × 2560, {arguments.frames} frames, context "
        f"{arguments.context}, batch {arguments.batch}, {arguments.threads} threads; a matrix "
        f"product in fp32 reaches {gemm['wall']:.0f} GFLOP/s"
    )
    if not graph_path(arguments.folder, "fp32").is_file():
        run("export")
    formats = run("formats")
    eight_bits = arguments.eight_bits or formats["chosen"]
    measured = ", ".join(
        f"{name} {1000 * seconds:.1f} ms, error {formats['errors'][name]:.1%}"
        for name, seconds in formats["seconds"].items()
    )
    print(f"a product in 8 bits: {measured}; {eight_bits} is taken")
    for precision in ("int8",) if arguments.only == "track" else ("int8", "int4"):
        if not graph_path(arguments.folder, precision).is_file():
            made = run("quantize", precision, eight_bits)
            print(
                f"{precision} made in {made['seconds']:.0f} s, peak memory "
                f"{made['peak_bytes'] / 1e9:.2f} GB"
            )
    if arguments.only != "track":
        compare_calls(arguments, run)
    if not (arguments.folder / "native").is_dir():
        run("export-decoders")
    calls = run("calls", "int8")
    decoders = {name: run("decoder", name) for name in ("before", "now")}
    if arguments.blocks != BLOCKS:
        print(f"calls of {arguments.blocks} blocks, times {BLOCKS / arguments.blocks:g}")
    print(track.table(arguments.frames, "int8", calls["1"], calls["2"], decoders))


def compare_calls(arguments: argparse.Namespace, run: Callable[..., Result]) -> None:
    """One call of every contender, a row each."""
    baseline = run("pytorch", "pytorch-fp32")
    print(
        f"{'':13} call s  cpu s  GFLOP/s  × PyTorch  load s  peak GB  disk GB  error: call  latents"
    )
    show(arguments, "pytorch-fp32", baseline, baseline)
    for contender in PYTORCH[1:]:
        show(arguments, contender, run("pytorch", contender), baseline)
    for contender in OURS:
        show(arguments, contender, run("ours", contender), baseline)
    print(
        f"× PyTorch: how many times faster than its fp32, by wall time; latents: after "
        f"{arguments.steps} steps."
    )


def show(arguments: argparse.Namespace, contender: str, result: Result, baseline: Result) -> None:
    """One row of the table."""
    operations = floating_point_operations(
        arguments.blocks, arguments.frames, arguments.context, arguments.batch
    )
    row = (
        f"{contender:13} {result['wall']:6.2f} {result['processor']:6.2f} "
        f"{operations / result['wall'] / 1e9:8.0f} {baseline['wall'] / result['wall']:10.2f} "
        f"{result['loading']:7.1f} {result['peak_bytes'] / 1e9:8.2f}"
    )
    if "bytes" in result:
        row += f" {result['bytes'] / 1e9:8.2f}"
    if contender in OURS[1:]:
        for of in ("one_call", "latents"):
            row += f" {relative_error(arguments.folder, contender, of):10.1%}"
    print(row, flush=True)


def main() -> None:
    """Measure one call of the diffusion transformer, PyTorch's and ours in every precision."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ace_step", description=__doc__)
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--only", choices=["track"], help="leave the comparison of calls out")
    parser.add_argument("--frames", type=int, default=323, help="latent frames; 323 are 30 s")
    parser.add_argument(
        "--decoded", type=int, default=0, help="latent frames that are decoded; 0: all"
    )
    parser.add_argument("--context", type=int, default=32, help="speaker, text and lyric tokens")
    parser.add_argument("--batch", type=int, choices=[1, 2], default=1)
    parser.add_argument("--steps", type=int, default=27)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where graphs are kept and looked for")
    parser.add_argument("--eight-bits", help="int8-columns or int8-blocks; measured if not given")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        arguments.folder = arguments.folder or Path(scratch)
        run_all(arguments)


if __name__ == "__main__":
    main()
