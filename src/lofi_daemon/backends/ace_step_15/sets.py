"""Which set of files runs, and making it of the downloaded checkpoint where it is not there yet.

The checkpoint lies in the model's folder as it came from the Hub; each set is a complete folder of
its own inside, and runs without the checkpoint. Light on imports until something has to be made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.backends.ace_step_15.bundle import FILES, MANIFEST, Manifest, read_manifest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models import store
from lofi_daemon.models.file_set import PrecisionName

PRECISIONS: tuple[PrecisionName, ...] = ("int8", "int4", "fp16", "fp32")
MODEL = "acestep-v15-turbo"
# One file of each layout that tells it; everything else is checked when it is read.
SIGNS = (f"{MODEL}/config.json", "transformer/config.json")

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True)
class FileSet:
    """A folder whose files run; made: they are there. error: what is wrong with them."""

    folder: Path
    precision: PrecisionName
    made: bool
    error: str | None = None

    @property
    def manifest(self) -> Manifest:
        """What the set says of itself, or will say when it is made of a turbo checkpoint."""
        if self.made:
            return read_manifest(self.folder)
        return Manifest(model_version=f"1.5-turbo-{self.precision}", precision=self.precision)


def find_set(folder: Path, wanted: PrecisionName | None, repair: str) -> FileSet | None:
    """The set that would run; None where there is neither one nor what it could be made of.

    wanted: None is int8, or, where the checkpoint is gone, the first set there is.
    Raises ModelLoadFailed where a record or manifest is broken.
    """
    has_checkpoint = _has_checkpoint(folder)
    there: list[PrecisionName] = [e for e in PRECISIONS if (folder / e / MANIFEST).is_file()]
    chosen = wanted
    if chosen is None:
        chosen = PRECISIONS[0] if has_checkpoint or not there else there[0]
    place = folder / chosen
    problems = store.inspect(place) if (place / MANIFEST).is_file() else []
    missing = [name for name in FILES if not (place / name).is_file()]
    if not problems and not missing:
        return FileSet(place, chosen, made=True)
    if not has_checkpoint:
        if not (place / MANIFEST).is_file():
            return None
        problems += [store.Problem(name, "is missing") for name in missing if not problems]
        return FileSet(place, chosen, made=False, error=store.describe(place, problems, repair))
    problems = store.inspect(folder)
    error = store.describe(folder, problems, repair) if problems else None
    return FileSet(place, chosen, made=False, error=error)


def make(
    folder: Path,
    precision: PrecisionName,
    threads: int | None,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> Path:
    """The set of this precision, made now of the checkpoint in `folder`; its folder.

    Raises ModelLoadFailed, OSError, Cancelled; what was written stays for the next attempt.
    """
    from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
    from lofi_daemon.backends.ace_step_15.make import SetOptions, is_made, make_set
    from lofi_daemon.models.quantize.fastest_format import measure_formats
    from lofi_daemon.onnx.graph_writer import Precision
    from lofi_daemon.onnx.session import SessionSettings

    checkpoint = Checkpoint.find(folder, MODEL)
    target = folder / precision
    if is_made(target, checkpoint) and not store.inspect(target):
        return target
    options = SetOptions(precision=Precision(precision), session=SessionSettings(threads=threads))
    if options.precision in (Precision.INT8, Precision.INT4):
        seconds = measure_formats(threads)
        fastest = min(seconds, key=seconds.__getitem__)
        options = SetOptions(options.precision, fastest, options.session)
    make_set(checkpoint, target, options, on_progress, cancel)
    return target


def _has_checkpoint(folder: Path) -> bool:
    return any((folder / sign).is_file() for sign in SIGNS)
