"""One call of ACE-Step's diffusion transformer at its real size: ours against PyTorch.

Builds the transformer (24 blocks of width 2560, random weights, 10 GB), exports it, and measures
seconds a call, GFLOP/s against what a matrix product reaches here, and peak memory, each in
a process of its own. Both clocks are given: on a machine that does other things too, processor
time is the one to compare::

    python -m benchmarks.ace_step            # 24 GB of memory, about 15 minutes
    python -m benchmarks.ace_step --blocks 2 # the same per block, in a minute
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PRODUCTS = ((323, 2560, 12800), (2048, 2048, 2048))
"""What the machine can reach is the better of a block's largest product and a square one."""


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
    wall, processor = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return {"wall": min(wall), "processor": min(processor)}


def measure_gemm(arguments: argparse.Namespace) -> dict[str, Any]:
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


def measure_onnx(arguments: argparse.Namespace) -> dict[str, Any]:
    """Our path: the exported graph in the daemon's own session."""
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import OnnxModel, SessionSettings

    start = time.perf_counter()
    model = OnnxModel(arguments.model, SessionSettings(threads=arguments.threads))
    loading = time.perf_counter() - start
    feeds = inputs(arguments.frames, arguments.context, arguments.batch)
    if model.accepts("query_scale"):
        feeds["query_scale"] = np.ones(arguments.batch, dtype=np.float32)
    seconds = timed(lambda: model.run(feeds, CancelToken()), arguments.repeats)
    return {**seconds, "loading": loading, "peak_bytes": peak_memory()}


def measure_torch(arguments: argparse.Namespace) -> dict[str, Any]:
    """PyTorch's path: the module that the graph was exported from, in float32."""
    import torch

    from benchmarks.random_transformer import random_transformer, real_size

    torch.set_num_threads(arguments.threads)
    model = random_transformer(real_size(arguments.blocks))
    feeds = inputs(arguments.frames, arguments.context, arguments.batch)
    tensors = [torch.from_numpy(array) for array in feeds.values()]
    with torch.inference_mode():
        seconds = timed(lambda: model.decode(*tensors), arguments.repeats)
    return {**seconds, "peak_bytes": peak_memory()}


def export_model(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the graph that ``measure_onnx`` runs; checks it against PyTorch on the way."""
    from benchmarks.random_transformer import export_random_denoiser, real_size

    export_random_denoiser(arguments.model.parent, real_size(arguments.blocks), report=log)
    return {"peak_bytes": peak_memory()}


STEPS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "gemm": measure_gemm,
    "export": export_model,
    "onnx": measure_onnx,
    "torch": measure_torch,
}


def peak_memory() -> int:
    """Peak resident bytes of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def log(line: str) -> None:
    """Progress goes to stderr, the result to stdout."""
    print(line, file=sys.stderr, flush=True)


def in_own_process(step: str, arguments: list[str]) -> dict[str, Any]:
    """Run one step of this file in a fresh process and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.ace_step", "--step", step, *arguments]
    completed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(completed.stdout)


def report(arguments: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    operations = floating_point_operations(
        arguments.blocks, arguments.frames, arguments.context, arguments.batch
    )
    ours, theirs, gemm = results["onnx"], results["torch"], results["gemm"]
    print(
        f"{arguments.blocks} blocks × 2560, {arguments.frames} frames, context "
        f"{arguments.context}, batch {arguments.batch}, {arguments.threads} threads"
    )
    for clock, share in (("wall", 1), ("processor", arguments.threads)):
        peak = gemm[clock] * share
        print(f"by {clock} time: a matrix product reaches {peak:.0f} GFLOP/s")
        for label, result in (("onnxruntime", ours), ("PyTorch", theirs)):
            rate = operations * share / result[clock] / 1e9
            print(
                f"  {label:12} {result[clock]:7.2f} s a call, {rate:4.0f} GFLOP/s, "
                f"{rate / peak:.0%} of that"
            )
        print(f"  PyTorch ÷ onnxruntime: {theirs[clock] / ours[clock]:.2f}")
    print(
        f"peak memory: onnxruntime {ours['peak_bytes'] / 1e9:.1f} GB (loaded in "
        f"{ours['loading']:.1f} s), PyTorch {theirs['peak_bytes'] / 1e9:.1f} GB"
    )
    if "export" in results:
        print(f"peak memory of the export: {results['export']['peak_bytes'] / 1e9:.1f} GB")


def main() -> None:
    """Measure one call of the diffusion transformer, ours and PyTorch's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ace_step", description=__doc__)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--frames", type=int, default=323, help="latent frames; 323 are 30 s")
    parser.add_argument("--context", type=int, default=32, help="speaker, text and lyric tokens")
    parser.add_argument("--batch", type=int, choices=[1, 2], default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--model", type=Path, help="keep the exported graph here; reused if there")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = arguments.model or Path(scratch) / "transformer_decoder.onnx"
        passed = [f"--model={model}"]
        for name in ("blocks", "frames", "context", "batch", "repeats", "threads"):
            passed.append(f"--{name}={getattr(arguments, name)}")
        results: dict[str, dict[str, Any]] = {}
        for step in STEPS:
            if step == "export" and model.is_file():
                continue
            log(f"{step} …")
            results[step] = in_own_process(step, passed)
        report(arguments, results)


if __name__ == "__main__":
    main()
