"""MusicGen-small's sizes with random weights: transformers, the published layout, and ours.

``python -m benchmarks.musicgen`` exports the model once (8 GB in build/), runs every contender in
a process of its own, and prints one table. Both clocks are given: on a machine that does other
things too, processor time is the one to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import clocked, peak_memory, process, said
from lofi_daemon.backends.musicgen.bundle import read_config
from lofi_daemon.backends.musicgen.continuation import stretches
from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
from lofi_daemon.backends.musicgen.sampling import guided, sample, uniform_draws
from lofi_daemon.backends.musicgen.text import TextEncoder, TextStates
from lofi_daemon.backends.musicgen.tokens import Sampling, generate_tokens
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

FRAME_RATE = 50
FOLDER = Path(__file__).parents[1] / "build" / "benchmark-musicgen"
NATIVE = ("fp32", "int8", "int4")
CONTENDERS = ("transformers", "published", *NATIVE)
TITLES = {
    "transformers": "transformers, fp32",
    "published": "published layout, two sessions, caches through numpy",
    "fp32": "lofi, fp32",
    "int8": "lofi, int8",
    "int4": "lofi, int4",
}
PROMPT_IDS = np.arange(2, 14, dtype=np.int64)[None]
WARM_UP_FRAMES = 5
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Result:
    """wall_sec and cpu_sec: per token frame; sampling_share: of the wall time, where measured."""

    wall_sec: float
    cpu_sec: float
    peak_bytes: int
    codec_sec_per_sec: float = 0.0
    sampling_share: float = 0.0


def main() -> None:
    """Measure how long MusicGen-small takes in every form, and how much memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.musicgen", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of music a contender makes")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    frames = round(arguments.seconds * FRAME_RATE)
    if arguments.export:
        export()
    elif arguments.contender:
        run = RUNS[arguments.contender]
        print(json.dumps(asdict(run(arguments.contender, frames, arguments.threads))))
    else:
        compare(arguments.seconds, arguments.threads)


def compare(seconds: float, threads: int) -> None:
    """Every contender, one after another, then the table."""
    if not (FOLDER / "agreement.json").is_file():
        _child("--export")
    agreements = json.loads((FOLDER / "agreement.json").read_text())
    bandwidth = memory_bandwidth(threads)
    print(
        f"{threads} threads, {seconds:g} s of music, {PROMPT_IDS.size} text tokens, "
        f"memory {bandwidth / 1e9:.1f} GB/s"
    )
    print(
        f"\n{'':52} {'wall':>6} {'cpu':>6} {'wall':>6} {'cpu':>6} {'peak':>6} {'÷ file':>6} "
        f"{'band-':>6} {'logit':>6} {'same':>6}"
    )
    print(
        f"{'':52} {'s/s':>6} {'s/s':>6} {'×':>6} {'×':>6} {'MiB':>6} {'sizes':>6} "
        f"{'width':>6} {'error':>6} {'top 1':>6}"
    )
    baseline: Result | None = None
    for name in CONTENDERS:
        line = _child("--contender", name, "--seconds", str(seconds), "--threads", str(threads))
        result = Result(**json.loads(line.splitlines()[-1]))
        baseline = baseline or result
        size = weight_bytes("fp32" if name == "transformers" else name)
        share = step_bytes(name, seconds) / result.wall_sec / bandwidth
        error = agreements.get(name)
        print(
            f"{TITLES[name]:52} {result.wall_sec * FRAME_RATE:6.2f} "
            f"{result.cpu_sec * FRAME_RATE:6.2f} {baseline.wall_sec / result.wall_sec:6.2f} "
            f"{baseline.cpu_sec / result.cpu_sec:6.2f} {result.peak_bytes / MEGABYTE:6.0f} "
            f"{result.peak_bytes / size:6.2f} {share:6.0%} "
            + (f"{error['logit_error']:6.1%} {error['top_1']:6.1%}" if error else ""),
            flush=True,
        )
        if name in NATIVE:
            print(
                f"{'':6}sampling {result.sampling_share:.1%} of the time; EnCodec "
                f"{result.codec_sec_per_sec:.3f} s a second of music"
            )
    print(
        "\ns/s: seconds of compute (tokens only) per second of music; ×: how many times faster "
        "than transformers;\nbandwidth: bytes a step must read (weights, mean caches) ÷ wall time, "
        "of what copying reads and writes."
    )


def export() -> None:
    """Random weights of MusicGen-small's sizes in every form, and how far integers are off."""
    from scripts.export_onnx.musicgen.export import export_native, export_published
    from scripts.export_onnx.musicgen.tiny import write_tokenizer
    from scripts.export_onnx.musicgen.verify import verify_decoder

    model = small_model()
    FOLDER.mkdir(parents=True, exist_ok=True)
    tokenizer = FOLDER / "tokenizer.json"
    write_tokenizer(tokenizer)
    export_published(model, tokenizer, FOLDER / "published")
    agreements: dict[str, Any] = {}
    for precision in NATIVE:
        export_native(model, tokenizer, FOLDER / precision, precision)
        agreements[precision] = asdict(verify_decoder(model, FOLDER / precision, precision))
    (FOLDER / "agreement.json").write_text(json.dumps(agreements))


def small_model() -> Any:
    """MusicgenForConditionalGeneration in the sizes of facebook/musicgen-small."""
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    from scripts.export_onnx.musicgen.tiny import randomise

    text = T5Config(d_model=768, d_ff=3072, num_layers=12, num_heads=12)
    audio = EncodecConfig(
        sampling_rate=32000,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        use_causal_conv=False,
        use_conv_shortcut=False,
        target_bandwidths=[2.2],
    )
    config = MusicgenConfig(
        text_encoder=text.to_dict(),
        audio_encoder=audio.to_dict(),
        decoder=MusicgenDecoderConfig().to_dict(),
    )
    torch.manual_seed(0)
    model = MusicgenForConditionalGeneration(config).eval()
    randomise(model)
    return model


def run_transformers(name: str, frames: int, threads: int) -> Result:
    import torch

    torch.set_num_threads(threads)
    model = small_model()
    ids = torch.from_numpy(PROMPT_IDS)
    steps = frames + model.decoder.config.num_codebooks

    def generate(length: int) -> None:
        with torch.no_grad():
            model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=250,
                guidance_scale=3.0,
                max_length=length,
            )

    # What is not the loop (encoding, EnCodec) is the same in both and falls out.
    generate(WARM_UP_FRAMES + 4)
    short = clocked(lambda: generate(WARM_UP_FRAMES + 4))
    whole = clocked(lambda: generate(steps))
    more = steps - WARM_UP_FRAMES - 4
    return Result((whole[0] - short[0]) / more, (whole[1] - short[1]) / more, peak_memory())


def run_published(name: str, frames: int, threads: int) -> Result:
    """As a straightforward host does it: every cache comes out as an array and goes in again."""
    import onnxruntime as ort

    folder = FOLDER / "published"
    config = read_config(folder).decoder
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    first, following = (
        ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
        for name in ("decoder_model.onnx", "decoder_with_past_model.onnx")
    )
    states = _text_states(folder, threads)
    text = np.concatenate((states, np.zeros_like(states)))
    mask = np.ones(text.shape[:2], dtype=np.int64)
    mask[1] = 0
    draws = uniform_draws(1, 0, frames, config.num_codebooks)
    names = [output.name.replace("present", "past_key_values") for output in first.get_outputs()]
    next_names = [
        output.name.replace("present", "past_key_values") for output in following.get_outputs()
    ]

    def generate() -> None:
        column = np.full((config.num_codebooks, 1), config.pad_token_id, dtype=np.int64)
        caches: dict[str, np.ndarray] = {}
        for step in range(frames):
            feeds = {"input_ids": np.tile(column, (2, 1)), "encoder_attention_mask": mask}
            if caches:
                found = dict(zip(next_names, following.run(None, feeds | caches), strict=True))
            else:
                feeds["encoder_hidden_states"] = text
                found = dict(zip(names, first.run(None, feeds), strict=True))
            logits = found.pop("logits").reshape(2, config.num_codebooks, -1)
            caches |= found
            column = sample(guided(logits, 3.0), draws[step])[:, None]

    wall, cpu = clocked(generate)
    return Result(wall / frames, cpu / frames, peak_memory())


def run_native(name: str, frames: int, threads: int) -> Result:
    folder = FOLDER / name
    settings = SessionSettings(threads=threads)
    pipeline = MusicGenPipeline(folder, settings)
    cancel = CancelToken()
    text = pipeline.text_encoder.encode(PROMPT_IDS, cancel)

    def tokens(count: int) -> np.ndarray:
        drawn = generate_tokens(
            pipeline.decoder,
            pipeline.config.decoder,
            text,
            stretches(count, FRAME_RATE),
            Sampling(seed=1),
            cancel,
        )
        return np.concatenate(list(drawn), axis=1)

    tokens(WARM_UP_FRAMES)
    codes: list[np.ndarray] = []
    wall, cpu = clocked(lambda: codes.append(tokens(frames)))
    codec, _ = clocked(
        lambda: list(pipeline.codec.stream(codes, frames, lambda done: None, cancel))
    )
    logits = np.random.default_rng(0).standard_normal((4, 2048)).astype(np.float32)
    draws = uniform_draws(1, 0, 200, 4)
    drawing, _ = clocked(lambda: [sample(logits, draw) for draw in draws])
    steps = frames + 3
    return Result(
        wall / steps,
        cpu / steps,
        peak_memory(),
        codec / (frames / FRAME_RATE),
        drawing / 200 / (wall / steps),
    )


RUNS: dict[str, Callable[[str, int, int], Result]] = {
    "transformers": run_transformers,
    "published": run_published,
    **dict.fromkeys(NATIVE, run_native),
}


def memory_bandwidth(threads: int) -> float:
    """Bytes a second, read and written, that all threads together copy."""
    source = np.ones((threads, 32 * MEGABYTE), dtype=np.float32)
    target = np.zeros_like(source)
    best = 0.0
    for _ in range(5):
        workers = [
            threading.Thread(target=np.copyto, args=(target[i], source[i])) for i in range(threads)
        ]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, 2.0 * source.nbytes / (time.perf_counter() - start))
    return best


def weight_bytes(name: str) -> int:
    """Size of all the files that a contender holds in memory."""
    folder = FOLDER / name
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".bin"))


def step_bytes(name: str, seconds: float) -> float:
    """What one step cannot do without reading: the layers' weights, and the caches half full."""
    precision = name if name in NATIVE else "fp32"
    tables = 4 * 2049 * 1024 * 4
    weights = (FOLDER / precision / "decoder.bin").stat().st_size - tables
    caches = 2 * 2 * 24 * 1024 * 4 * seconds * FRAME_RATE / 2
    return weights + caches


def _text_states(folder: Path, threads: int) -> TextStates:
    encoder = TextEncoder(folder, SessionSettings(threads=threads))
    return encoder.encode(PROMPT_IDS, CancelToken())


def _child(*arguments: str) -> str:
    return said(process("benchmarks.musicgen", *arguments))


if __name__ == "__main__":
    main()
