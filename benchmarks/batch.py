"""What making many tracks costs on a Ray cluster, against plain processes.

    python -m benchmarks.batch [--songs 60] [--seconds 10] [--steps 4]

Tracks of the bundled model, one file of songs, four ways of one thread each: one process; two plain
processes, half of the file each; a cluster that `--ray` starts, with two actors; and two raylets on
the loopback interface, of one actor each. The tracks of all must be the same to the byte. (With
another number of threads some are not: ONNX Runtime adds up in another order then.)

Throughput is counted between the first and the last track that a way finishes: what it takes to
start does not count, and is told beside. The two plain processes run before Ray and after it, and
the ratio is to their mean: where others use the machine, only neighbours in time can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measuring import processor_name
from tests.batch.ray_session import RaySession

COMMAND = (sys.executable, "-P", "-m", "lofi_daemon", "batch")
PATIENCE_SEC = 3600.0
# How often the processes are looked at.
LOOK_SEC = 0.5


@dataclass(frozen=True)
class Took:
    """wall_sec: from the start of the command to its end. processor_sec: of all its processes."""

    wall_sec: float
    processor_sec: float
    tracks_a_minute: float
    tracks: Mapping[str, bytes]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    print(
        f"{options.songs} tracks of {options.seconds:g} s in {options.steps} steps, "
        f"{os.cpu_count()} cores, {processor_name()}, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="lofi-") as name:
        folder = Path(name)
        lines = [json.dumps(_song(number, options)) for number in range(options.songs)]
        whole = _written(folder / "songs.jsonl", lines)
        halves = [_written(folder / f"half{part}.jsonl", lines[part::2]) for part in (0, 1)]
        single = {**os.environ, "HOME": name, "RAY_TMPDIR": name, "LOFI_THREADS": "1"}

        one = _run("one process", [(*COMMAND, str(whole))], folder / "one", single)
        commands = [(*COMMAND, str(half)) for half in halves]
        before = _run("two processes", commands, folder / "before", single)
        ray = _run("Ray, two actors", [(*COMMAND, str(whole), "--ray")], folder / "ray", single)
        after = _run("two processes again", commands, folder / "after", single)
        with RaySession(2) as session:
            command = (*COMMAND, str(whole), "--ray", session.address)
            both = _run("Ray, two raylets", [command], folder / "two", session.environment)
            raylets = {raylet for _, raylet in session.makings}
    plain = (before.tracks_a_minute + after.tracks_a_minute) / 2
    print(
        f"Ray against two plain processes: {ray.tracks_a_minute / plain:.2f}; "
        f"two raylets: {both.tracks_a_minute / plain:.2f} ({len(raylets)} made tracks)"
    )
    others = {"two processes": before, "Ray": ray, "two again": after, "two raylets": both}
    for name, way in others.items():
        equal = [each for each, sound in one.tracks.items() if way.tracks.get(each) == sound]
        print(
            f"{name}: {len(way.tracks)} tracks, {len(equal)} the same to the byte as of one process"
        )


def _song(number: int, options: argparse.Namespace) -> dict[str, object]:
    words = {"prompt": f"rainy night, rhodes, take {number}", "backend": "demo"}
    return {**words, "duration_sec": options.seconds, "inference_steps": options.steps}


def _written(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def _run(
    name: str, commands: Sequence[Sequence[str]], output: Path, environment: Mapping[str, str]
) -> Took:
    """Carry out these commands at the same time, and print what they took."""
    began, spent = time.monotonic(), {}
    running = [
        psutil.Popen(
            [*command, "--output", str(output)], env=dict(environment), stdout=subprocess.DEVNULL
        )
        for command in commands
    ]
    while any(each.poll() is None for each in running):
        assert time.monotonic() - began < PATIENCE_SEC
        for process in running:
            _look(process, spent)
        time.sleep(LOOK_SEC)
    wall = time.monotonic() - began
    assert all(each.returncode == 0 for each in running), name
    finished = sorted(path.stat().st_mtime for path in output.glob("??/*.json"))
    rate = 60.0 * (len(finished) - 1) / (finished[-1] - finished[0])
    took = Took(
        wall,
        sum(spent.values()),
        rate,
        {path.name: path.read_bytes() for path in output.glob("??/*.flac")},
    )
    print(
        f"{name + ':':21s} {rate:6.1f} tracks a minute; in all {wall:6.1f} s, of the processor "
        f"{took.processor_sec:6.1f} s",
        flush=True,
    )
    return took


def _look(process: psutil.Process, spent: dict[int, float]) -> None:
    """Note what a process and all that it started have used so far."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return
    for each in family:
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue
        spent[each.pid] = times.user + times.system


if __name__ == "__main__":
    main()
