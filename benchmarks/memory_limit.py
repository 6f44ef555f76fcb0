"""A track of a minute from the whole model at its real size, inside a memory limit.

Exports every graph with random weights (12 GB), makes the int4 set with `lofi-daemon quantize`,
and runs `lofi-daemon` in a control group that may use so much memory and no more (page cache
included). Prints peak memory of each step. Needs Linux, root, 20 GB of disk, and 24 GB of memory
for the export::

    python -m benchmarks.memory_limit --limit-gb 6 --steps 4
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import process
from lofi_daemon.child import Child

CONTROL_GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    """Export, quantise, generate; what each took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_limit", description=__doc__)
    parser.add_argument("--limit-gb", type=float, default=6.0)
    parser.add_argument("--bits", type=int, choices=(8, 4), default=4)
    parser.add_argument("--duration", type=int, default=60, help="seconds of music")
    parser.add_argument("--steps", type=int, default=4, help="they need time, not memory")
    parser.add_argument("--folder", type=Path, help="where the model is kept and looked for")
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.export:
        from benchmarks.random_model import export_random_bundle

        export_random_bundle(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, arguments.folder or Path(scratch) / "ace-step", Path(scratch))


def measure(arguments: argparse.Namespace, folder: Path, scratch: Path) -> None:
    """Run the three steps, each in a process of its own."""
    variant = f"int{arguments.bits}"
    environment = {
        "LOFI_ACE_STEP_MODEL_PATH": str(folder),
        "LOFI_ACE_STEP_VARIANT": variant,
        "XDG_CACHE_HOME": str(scratch),
    }
    if not (folder / "manifest.json").is_file():
        export = process("benchmarks.memory_limit", "--export", f"--folder={folder}")
        run("export", export, environment)
    if not (folder / variant / "manifest.json").is_file():
        quantize = process("lofi_daemon", "quantize", "ace_step", "--bits", arguments.bits)
        run(f"quantize to {variant}", quantize, environment)
    size = sum(path.stat().st_size for path in (folder / variant).iterdir())
    print(f"{variant} set on disk: {size / 1e9:.2f} GB")
    output = scratch / "track.wav"
    command = ["--backend", "ace_step", "--prompt", "rainy night, rhodes", "--seed", "1"]
    command += ["--duration", str(arguments.duration), "--steps", str(arguments.steps)]
    with control_group(round(arguments.limit_gb * 1e9)) as join:
        title = (
            f"{arguments.duration} s in {arguments.steps} steps within {arguments.limit_gb:g} GB"
        )
        run(title, process("lofi_daemon", *command, "--output", output), environment, join)
    print(f"the track has {output.stat().st_size} bytes")


def run(
    title: str,
    told: Child,
    environment: dict[str, str],
    before: Callable[[], None] | None = None,
) -> None:
    """Run a process to its end and print its time and peak memory."""
    started = time.perf_counter()
    running = subprocess.Popen(
        told.command,
        cwd=told.folder,
        env={**told.environment, **environment},
        preexec_fn=before,
    )
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode != 0:
        raise SystemExit(f"{title}: exit status {running.returncode}")
    seconds = time.perf_counter() - started
    print(
        f"{title}: {seconds:.0f} s, peak memory {usage.ru_maxrss * 1024 / 1e9:.2f} GB", flush=True
    )


@contextmanager
def control_group(limit: int) -> Iterator[Callable[[], None]]:
    """A group of processes with a memory limit in bytes; gives what makes a process join it."""
    name = f"lofi-benchmark-{os.getpid()}"
    first_version = CONTROL_GROUPS / "memory"
    group = (first_version if first_version.is_dir() else CONTROL_GROUPS) / name
    group.mkdir()
    limits = "memory.limit_in_bytes" if first_version.is_dir() else "memory.max"
    (group / limits).write_text(str(limit))

    def join() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        yield join
    finally:
        group.rmdir()


if __name__ == "__main__":
    main()
