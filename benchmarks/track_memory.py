"""How much memory a track needs besides the loaded model, by its length. Linux.

    python -m benchmarks.track_memory            # the bundled model
    python -m benchmarks.track_memory FOLDER     # another bundle of ACE-Step's shape

Each track is made and written by a process of its own, from loaded model to finished file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import process, said
from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.tracks import Recipe, TrackCache
from lofi_daemon.tracks.writing import write_track

STATUS = Path("/proc/self/status")
DURATIONS = (30, 60, 120, 240)


def main() -> None:
    """Print the peak for every length, and the growth from the shortest to the longest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.track_memory", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=BUNDLE)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--duration", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.duration is not None:
        print(peak_above_loaded(arguments.bundle, arguments.duration, arguments.steps))
        return
    peaks: list[int] = []
    for duration in DURATIONS:
        options = (arguments.bundle, "--steps", arguments.steps, "--duration", duration)
        peaks.append(int(said(process("benchmarks.track_memory", *options))))
        print(f"{duration:4d} s: {peaks[-1] / 1e6:6.1f} MB above the loaded model", flush=True)
    print(f"growth from {DURATIONS[0]} s to {DURATIONS[-1]} s: {peaks[-1] / peaks[0] - 1.0:+.0%}")


def peak_above_loaded(bundle: Path, duration: int, steps: int) -> int:
    """Bytes."""
    composer = compose_score if read_manifest(bundle).score is not None else None
    pipeline = AceStepPipeline(bundle, compose=composer)
    loaded = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    request = GenerationRequest(
        "rainy night, rhodes", duration, 1, options=DiffusionOptions(inference_steps=steps)
    )
    clip = pipeline.generate(request)
    assert clip.samples.dtype == np.float32
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        write_track(
            TrackCache(Path(folder), max_bytes=10**9),
            clip,
            Recipe("ace_step", None, request),
            track_format="wav16",
            elapsed_sec=lambda: time.monotonic() - started,
            cancel=CancelToken(),
        )
    return resident("VmHWM") - loaded


def resident(name: str) -> int:
    """Bytes of VmRSS (now) or VmHWM (at the peak)."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
