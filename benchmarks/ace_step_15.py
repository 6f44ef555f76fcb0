"""ACE-Step 1.5 turbo at its real size: diffusers' modules and ours, and the whole track.

Needs a checkpoint of random weights (`python -m benchmarks.random_checkpoint_15 FOLDER`, 6 GB) and
makes the int8 and the fp32 set inside it, as a download does. Then measures, each in a process of
its own: seconds a call of the diffusion transformer (diffusers in fp32 and bf16, ours in fp32 and
int8), seconds of decoding a second of music, and whole tracks, with peak memory. diffusers passes a
transposed tensor through all its blocks, which costs it a copy of every weight at every call; it is
made contiguous here, since the comparison would be unfair. Of the first version the diffusion alone
is measured, on a few of its blocks, and stands for the whole of it: its decoder comes on top. ::

    python -m benchmarks.ace_step_15 --folder FOLDER   # 16 GB of memory, 20 GB of disk
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import clocked, peak_memory, process, processor_name, said

Result = dict[str, Any]

FRAMES_A_SECOND = 25
CHANNELS, WIDTH, BLOCKS = 64, 2048, 24
STEPS_OF_TURBO = 8
V1_BLOCKS, V1_FRAMES_A_SECOND = 24, 44_100 / 4096
# Model calls of the first version: 27 Euler steps, of which the middle half is guided, and adams.
V1_RUNS = {"v1, 27 steps": 41, "v1, adams 25": 25}


def inputs(frames: int, rows: int) -> dict[str, np.ndarray]:
    """One call's inputs, by our names."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    return {
        "hidden_states": normal(1, frames, CHANNELS),
        "timestep": np.array([0.6], dtype=np.float32),
        "encoder_hidden_states": normal(1, rows, WIDTH),
        "context_latents": normal(1, frames, 2 * CHANNELS),
    }


def best(call: Callable[[], Any], repeats: int) -> Result:
    """The best call's wall and processor seconds, after one that is not counted."""
    call()
    wall, processor = zip(*(clocked(call) for _ in range(repeats)), strict=True)
    return {"wall": min(wall), "processor": min(processor), "peak_bytes": peak_memory()}


def make(arguments: argparse.Namespace) -> Result:
    """A set of the checkpoint, as the first track after a download makes it."""
    from lofi_daemon.backends.ace_step_15.files import (
        AceStep15Configuration,
        AceStep15Files,
    )
    from lofi_daemon.cancellation import CancelToken

    configuration = AceStep15Configuration(variant=arguments.contender)
    files = AceStep15Files(arguments.folder, configuration, threads=arguments.threads)
    wall, processor = clocked(lambda: files.prepared(lambda file, share: None, CancelToken()))
    return {"wall": wall, "processor": processor, "peak_bytes": peak_memory()}


def transformer_of_diffusers(arguments: argparse.Namespace) -> Result:
    """Its module in float32 or bfloat16, with random weights."""
    import torch
    from diffusers import AceStepTransformer1DModel

    torch.set_num_threads(arguments.threads)
    dtype = torch.bfloat16 if arguments.contender == "bf16" else torch.float32
    torch.set_default_dtype(dtype)
    with torch.device("meta"):
        model = AceStepTransformer1DModel(num_hidden_layers=arguments.blocks)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    for parameter in model.parameters():
        parameter.uniform_(-0.02, 0.02)

    def contiguous(module: Any, given: Any, named: dict[str, Any]) -> Any:
        return given, {**named, "hidden_states": named["hidden_states"].contiguous()}

    model.layers[0].register_forward_pre_hook(contiguous, with_kwargs=True)
    feeds = {
        name: torch.from_numpy(value).to(dtype)
        for name, value in inputs(arguments.frames, arguments.rows).items()
    }
    with torch.inference_mode():
        result = best(lambda: model(timestep_r=feeds["timestep"], **feeds), arguments.repeats)
    return {**result, "scale": BLOCKS / arguments.blocks}


def our_transformer(arguments: argparse.Namespace) -> Result:
    from lofi_daemon.backends.ace_step_15.transformer import DiffusionTransformer
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import SessionSettings

    settings = SessionSettings(threads=arguments.threads, arena=False)
    transformer = DiffusionTransformer(arguments.folder / arguments.contender, settings)
    feeds = inputs(arguments.frames, arguments.rows)
    velocity = transformer.velocity(
        feeds["encoder_hidden_states"], feeds["context_latents"], CancelToken()
    )
    level = np.float32(0.6)
    return best(lambda: velocity(feeds["hidden_states"], level), arguments.repeats)


def decoder_of_diffusers(arguments: argparse.Namespace) -> Result:
    """Its autoencoder's decoder in float32, one window of ours at a time."""
    import torch
    from diffusers import AutoencoderOobleck

    torch.set_num_threads(arguments.threads)
    model = AutoencoderOobleck(
        decoder_channels=128,
        decoder_input_channels=CHANNELS,
        sampling_rate=48_000,
        downsampling_ratios=[2, 4, 4, 6, 10],
    ).eval()
    latents = torch.randn(1, CHANNELS, arguments.window)
    with torch.inference_mode():
        result = best(lambda: model.decode(latents), arguments.repeats)
    seconds = arguments.window / FRAMES_A_SECOND
    return {**result, "music_sec": seconds}


def our_decoder(arguments: argparse.Namespace) -> Result:
    from lofi_daemon.backends.ace_step_15.bundle import read_manifest
    from lofi_daemon.backends.ace_step_15.decode import LatentDecoder
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.onnx.session import SessionSettings

    folder = arguments.folder / "int8"
    settings = SessionSettings(threads=arguments.threads, arena=False)
    decoder = LatentDecoder(folder, read_manifest(folder).audio, settings)
    latents = np.random.default_rng(0).standard_normal(
        (1, arguments.frames, CHANNELS), dtype=np.float32
    )

    def decode() -> None:
        for _ in decoder.pieces(latents, lambda share: None, CancelToken()):
            pass

    return {**best(decode, 1), "music_sec": arguments.frames / FRAMES_A_SECOND}


def whole_track(arguments: argparse.Namespace) -> Result:
    """From a loaded model to samples, the phases apart."""
    from lofi_daemon.backends.ace_step_15.options import AceStep15Options
    from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
    from lofi_daemon.backends.protocol import GenerationRequest, PhaseProgress
    from lofi_daemon.onnx.session import SessionSettings

    settings = SessionSettings(threads=arguments.threads)
    pipeline = AceStep15Pipeline(arguments.folder / "int8", settings)
    options = AceStep15Options(inference_steps=arguments.steps)
    request = GenerationRequest("rainy night", arguments.seconds, 1, options)
    began: dict[str, float] = {}

    def watch(progress: PhaseProgress) -> None:
        began.setdefault(progress.phase.value, time.perf_counter())

    wall, processor = clocked(lambda: pipeline.generate(request, on_progress=watch))
    ended = time.perf_counter()
    times = [*began.values(), ended]
    phases = {name: times[index + 1] - times[index] for index, name in enumerate(began)}
    return {"wall": wall, "processor": processor, "peak_bytes": peak_memory(), **phases}


def first_version(arguments: argparse.Namespace) -> Result:
    """A call of the first version's transformer in int8, on `v1_blocks` blocks of 24."""
    from benchmarks.ace_step import inputs as v1_inputs
    from benchmarks.random_model import export_random_denoiser, real_size
    from lofi_daemon.cancellation import CancelToken
    from lofi_daemon.models.quantize.fastest_format import fastest_format
    from lofi_daemon.models.quantize.graph import QuantizePlan, quantize_graph
    from lofi_daemon.onnx.session import OnnxModel, SessionSettings

    folder = arguments.folder / f"v1-{arguments.v1_blocks}"
    graph, small = folder / "transformer_decoder.onnx", folder / "int8" / "transformer_decoder.onnx"
    if not small.is_file():
        export_random_denoiser(folder, real_size(arguments.v1_blocks), report=log)
        fastest = fastest_format(arguments.threads)
        small.parent.mkdir(exist_ok=True)
        plan = QuantizePlan(fastest, fastest)
        quantize_graph(graph, small, plan, lambda written, of: None, CancelToken())
    model = OnnxModel(small, SessionSettings(threads=arguments.threads, arena=False))
    feeds = v1_inputs(round(arguments.seconds * V1_FRAMES_A_SECOND), 32, 1)
    if model.accepts("query_scale"):
        feeds["query_scale"] = np.ones(1, dtype=np.float32)
    result = best(lambda: model.run(feeds, CancelToken()), 1)
    return {**result, "scale": V1_BLOCKS / arguments.v1_blocks}


STEPS: dict[str, Callable[[argparse.Namespace], Result]] = {
    "make": make,
    "diffusers": transformer_of_diffusers,
    "ours": our_transformer,
    "their_decoder": decoder_of_diffusers,
    "our_decoder": our_decoder,
    "track": whole_track,
    "v1": first_version,
}
PASSED = (
    "folder", "threads", "frames", "rows", "window", "repeats", "blocks", "v1_blocks", "steps",
)  # fmt: skip


def log(line: str) -> None:
    """Progress goes to stderr, the result to stdout."""
    print(line, file=sys.stderr, flush=True)


def show(name: str, result: Result, per: float = 1.0) -> None:
    """One row; per: what the times are divided by."""
    factor = result.get("scale", 1.0) / per
    wall, processor = factor * result["wall"], factor * result["processor"]
    peak = result["peak_bytes"] / 1e9
    print(f"{name:34} {wall:9.2f} {processor:9.2f} {peak:9.2f}", flush=True)


def run_all(arguments: argparse.Namespace) -> None:
    """Every step in a process of its own, a row each."""

    def run(step: str, contender: str = "", seconds: float = 30.0) -> Result:
        log(f"{step} {contender} …")
        flags = [f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in PASSED]
        flags += [f"--contender={contender}", f"--seconds={seconds}"]
        return json.loads(said(process("benchmarks.ace_step_15", "--step", step, *flags)))

    chosen = arguments.only or list(ROWS)
    print(f"{processor_name()}, {arguments.threads} threads")
    print(f"{'seconds':34} {'wall':>9} {'processor':>9} {'peak GB':>9}", flush=True)
    for row in chosen:
        ROWS[row](run, arguments)


Run = Callable[..., Result]


def show_making(run: Run, arguments: argparse.Namespace) -> None:
    for precision in ("int8", "fp32"):
        if not (arguments.folder / precision / "manifest.json").is_file():
            show(f"making the {precision} set", run("make", precision))


def show_calls(run: Run, arguments: argparse.Namespace) -> None:
    where = f"{arguments.frames} frames"
    for precision in ("fp32", "bf16"):
        show(f"a call, diffusers {precision}, {where}", run("diffusers", precision))
    for precision in ("fp32", "int8"):
        show(f"a call, ours {precision}, {where}", run("ours", precision))


def show_decoders(run: Run, arguments: argparse.Namespace) -> None:
    for name, step in (("PyTorch", "their_decoder"), ("ours", "our_decoder")):
        result = run(step)
        show(f"decoding 1 s of music, {name}", result, per=result["music_sec"])


def show_tracks(run: Run, arguments: argparse.Namespace) -> None:
    for seconds in arguments.tracks:
        result = run("track", "int8", seconds)
        show(f"a track of {seconds:g} s, {arguments.steps} steps, int8", result)
        for phase in ("encoding", "diffusing", "decoding"):
            print(f"{'  ' + phase:34} {result[phase]:9.2f}", flush=True)
        if arguments.steps != STEPS_OF_TURBO:
            in_full = result["diffusing"] * STEPS_OF_TURBO / arguments.steps
            whole = result["encoding"] + in_full + result["decoding"]
            print(f"{f'  in {STEPS_OF_TURBO} steps it would take':34} {whole:9.2f}", flush=True)


def show_first_version(run: Run, arguments: argparse.Namespace) -> None:
    for seconds in arguments.tracks:
        result = run("v1", "int8", seconds)
        for name, calls in V1_RUNS.items():
            show(f"{name}, {seconds:g} s, diffusion only", result, per=1.0 / calls)


ROWS: dict[str, Callable[[Run, argparse.Namespace], None]] = {
    "making": show_making,
    "calls": show_calls,
    "decoders": show_decoders,
    "tracks": show_tracks,
    "v1": show_first_version,
}


def main() -> None:
    """Measure diffusers' modules and ours, whole tracks, and the first version's diffusion."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ace_step_15", description=__doc__)
    parser.add_argument("--folder", type=Path, help="a checkpoint of random weights")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--frames", type=int, default=750, help="latent frames; 750 are 30 s")
    parser.add_argument("--rows", type=int, default=64, help="that the transformer attends to")
    parser.add_argument("--window", type=int, default=146, help="frames a call of the decoder")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="of diffusers' 24, scaled up")
    parser.add_argument("--v1-blocks", type=int, default=4, help="of the first version's 24")
    parser.add_argument("--tracks", type=float, nargs="*", default=[30.0, 120.0])
    parser.add_argument(
        "--steps", type=int, default=STEPS_OF_TURBO, help="of each track; fewer are scaled up"
    )
    parser.add_argument("--only", choices=list(ROWS), action="append", help="these rows only")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--contender", default="", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=30.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            from benchmarks.random_checkpoint_15 import write_checkpoint

            arguments.folder = write_checkpoint(Path(scratch))
        run_all(arguments)


if __name__ == "__main__":
    main()
