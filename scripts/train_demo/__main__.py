"""Trains the demo model from nothing: render, codec, text, flow and vocoder, export, measure.

Everything lands in one work folder; a stage that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path

from lofi_daemon.child import child

BUNDLE = Path("src/lofi_daemon/backends/demo/bundle")
SHARDS_FOR_CODEC = 6


def stage(name: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start one stage as its own process, one thread each, behind everything else."""
    print(name, *arguments, flush=True)
    told = child(f"scripts.train_demo.{name}", *map(str, arguments), root=Path.cwd())
    environment = {**told.environment, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = ["nice", "-n", "5", *told.command]
    return subprocess.Popen(command, env=environment, cwd=told.folder)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a stage; SystemExit if it failed."""
    if process.wait():
        raise SystemExit(f"failed: {' '.join(map(str, process.args))}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_demo", description=__doc__)
    parser.add_argument("work", type=Path, nargs="?", default=Path("build/train_demo"))
    parser.add_argument("--shards", type=int, default=88, help="12 songs each, 11 minutes")
    parser.add_argument("--flow-minutes", type=float, default=240)
    parser.add_argument("--vocoder-minutes", type=float, default=60)
    parser.add_argument("--tracks", type=int, default=100, help="tracks to measure on")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    arguments = parser.parse_args()
    work, data = arguments.work, arguments.work / "data"
    codec = work / "codec.npz"

    rendering = stage("dataset", data, "--shards", arguments.shards)
    while len(list(data.glob("train-????.npz"))) < min(SHARDS_FOR_CODEC, arguments.shards):
        if rendering.poll():
            raise SystemExit("failed: dataset")
        time.sleep(2)
    if not codec.exists():
        finish(stage("codec", data, codec))
    flow = stage("train_flow", data, codec, work / "flow", "--minutes", arguments.flow_minutes)
    finish(rendering)
    minutes = arguments.vocoder_minutes
    finish(stage("train_vocoder", data, codec, work / "vocoder", "--minutes", minutes))
    if not (work / "text" / "text.pt").exists():
        finish(stage("train_text", work / "text"))
    if not (work / "classifier.pt").exists():
        finish(stage("classifier", data, work / "classifier.pt"))
    finish(flow)
    finish(stage("export", work, arguments.bundle))
    if not (work / "tone.npy").exists():
        finish(stage("tone", arguments.bundle, work / "tone.npy"))
    finish(stage("export", work, arguments.bundle, "--only", "dcae_decoder"))
    tracks = work / "tracks"
    finish(stage("tracks", arguments.bundle, work, tracks, "--count", arguments.tracks))
    finish(stage("measure", tracks, data, codec, work / "results.json"))


if __name__ == "__main__":
    main()
