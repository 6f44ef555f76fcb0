"""`lofi-daemon batch songs.jsonl --output DIR`: every song of a file."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from lofi_daemon.batch.library import library_at
from lofi_daemon.batch.results import FAILED, Results
from lofi_daemon.batch.run import Batch, OnSong, Plan, Standing, registry_for
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import ConfigurationError
from lofi_daemon.terminal.progress import progress_display
from lofi_daemon.text import say

SOME_FAILED = 3
INTERRUPTED = 130


def add_batch_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "songs", type=Path, help="a file of JSON lines (or Parquet): what generate takes, id, count"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="the folder of the tracks, or a URI such as s3://bucket/folder",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="make them on a Ray cluster; without an address the one of RAY_ADDRESS, else one of "
        "this machine (about ten processes and 0.6 GB)",
    )
    parser.add_argument(
        "--check", action="store_true", help="check every line, say what is there; make nothing"
    )


def make_batch(settings: Settings, options: argparse.Namespace) -> int:
    """Make what is missing; the exit status: 0, 3 where some failed, 130 when interrupted.

    Raises ConfigurationError for the file or the folder, and what would fail for every song.
    """
    library = library_at(options.output)
    registry = registry_for(settings)
    registry.introduce()
    batch = Batch(registry, options.songs, library)
    cancel = CancelToken()
    _stop_on_signals(cancel)
    try:
        plan = batch.plan(cancel)
        _tell(plan)
        if options.check:
            return SOME_FAILED if plan.refused_lines else 0
        library.prepare()
        with library.notes() as notes, _results(notes) as results, progress_display() as show:

            def on_song(now: Standing) -> None:
                show(now.done / max(1, now.to_make), _line(now))

            if options.ray is None:
                batch.make(plan, results, on_song, cancel)
            else:
                _on_cluster(settings, options, batch, plan, results, on_song, cancel)
    except Cancelled:
        say("Stopped; the same command goes on with what is missing.", file=sys.stderr)
        return INTERRUPTED
    counts = results.counts
    say(f"{counts['made']} made, {counts['there']} were there, {counts['failed']} failed")
    if counts["failed"]:
        say(f"{options.output}/{FAILED} has the lines that failed", file=sys.stderr)
        return SOME_FAILED
    return 0


def _on_cluster(
    settings: Settings,
    options: argparse.Namespace,
    batch: Batch,
    plan: Plan,
    results: Results,
    on_song: OnSong,
    cancel: CancelToken,
) -> None:
    from lofi_daemon.batch.cluster import Cluster

    output = options.output
    if "://" not in output:  # the actors work in folders of their own
        output = str(Path(output).absolute())
    cluster = Cluster(settings, options.ray)
    try:
        cluster.make(batch, plan, results, on_song, cancel, output)
    finally:
        cluster.close()


def _results(folder: Path) -> Results:
    try:
        return Results(folder)
    except OSError as error:
        raise ConfigurationError(
            f"--output {folder}: {error.strerror or error}.",
            hint="Name a folder that can be written.",
        ) from error


def _tell(plan: Plan) -> None:
    say(f"{plan.songs} songs, {plan.there} of them are there, {plan.to_make} to make")
    for line in plan.refused:
        say(f"line {line.line}: {line.error.message} {line.error.hint}", file=sys.stderr)
    more = plan.refused_lines - len(plan.refused)
    if more:
        say(f"and {more} more lines that cannot be carried out", file=sys.stderr)


def _line(now: Standing) -> str:
    at = f"{now.done} of {now.to_make}"
    if now.eta_sec is None:
        return at
    rate = 60.0 * now.done / max(now.elapsed_sec, 1e-3)
    return f"{at}, {rate:.1f} a minute, about {now.eta_sec / 60.0:.0f} min left"


def _stop_on_signals(cancel: CancelToken) -> None:
    """The first stops inside the model call; the second ends the process as it always does."""

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        cancel.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
