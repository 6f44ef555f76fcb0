"""The toy's files: notes as they are published, and the sets that are made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models import making, store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress

NOTES = "notes.bin"
DTYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.uint8}


class ToyConfiguration(ModelConfiguration):
    variant: Literal["fp16", "int8"] | None = Field(
        default=None, title="VARIANT", description="Which files of the toy run: fp16 or int8."
    )


class ToyFiles(ModelFiles[ToyConfiguration]):
    """notes.bin holds frequencies in Hz, float32; a set has them in its precision, in notes.bin."""

    type = "toy"
    title = "Toy of two notes"
    default_folder = "toy"
    configuration_class = ToyConfiguration
    smaller = ("int8",)

    @property
    def published(self) -> Path | None:
        return Path(__file__).parent / "published.json"

    def choose(self) -> FileSet | None:
        precision = self.configuration.variant or "fp16"
        if (self.folder / NOTES).is_file():
            return self.smaller_set(precision)
        made = self.folder / precision
        return FileSet(made, precision, f"toy-{precision}") if store.exists(made / NOTES) else None

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        return FileSet(self.folder / precision, precision, f"toy-{precision}", self.folder)

    def make(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> None:
        def write(unfinished: Path) -> dict[str, Any]:
            source = making.source_of(self.folder, [NOTES], cancel)
            notes = np.fromfile(self.folder / NOTES, np.float32)
            for share in (0.0, 0.5):
                on_progress(NOTES, share)
            # In fours, so that what is played fits into a byte.
            (notes / 4).astype(DTYPES[files.precision]).tofile(unfinished / NOTES)
            on_progress(NOTES, 1.0)
            return {
                "model_version": files.version,
                "precision": files.precision,
                "source": {name: file.model_dump() for name, file in source.items()},
            }

        making.make_set(files.folder, {"precision": files.precision}, write, cancel)


def read_notes(files: FileSet) -> list[float]:
    """Frequencies in Hz."""
    dtype = cast("type[np.generic]", DTYPES[files.precision])
    return [4.0 * float(note) for note in np.fromfile(files.folder / NOTES, dtype)]
