"""Where the files of ACE-Step 1.5 come from and lie, and which set of them runs.

The checkpoint lies in the model's folder as it came from the Hub; each set that is made of it is a
complete folder inside, and runs without it. Light on imports until something has to be made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from pydantic import Field

from lofi_daemon.backends.ace_step_15.bundle import MANIFEST, Manifest, read_manifest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelNotFound
from lofi_daemon.models import making, store
from lofi_daemon.models.documents import read_any
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress

PRECISIONS: tuple[PrecisionName, ...] = ("int8", "int4", "fp16", "fp32")
ModelName = Literal["turbo", "base", "sft", "xl-turbo", "xl-base", "xl-sft"]
# Copies of the largest tensor, in fp32, that are in memory while it is packed, and the rest.
MAKING_COPIES = 3
MAKING_BYTES = 500_000_000


class AceStep15Configuration(ModelConfiguration):
    """Which of the published models it is, and which of its sets runs."""

    model: ModelName = Field(
        default="turbo",
        title="MODEL",
        description="Which model {title} is: turbo, base or sft; the larger ones with xl- before.",
    )
    variant: PrecisionName | None = Field(
        default=None,
        title="VARIANT",
        description="Which files of ACE-Step 1.5 run: int8, int4, fp16 or fp32; if not set, int8.",
    )


class AceStep15Files(ModelFiles[AceStep15Configuration]):
    """The checkpoint as it is downloaded, and the sets that are made of it."""

    type = "ace_step_15"
    title = "ACE-Step 1.5"
    default_folder = "ace-step-15"
    configuration_class = AceStep15Configuration
    smaller = ("int8", "int4")

    @property
    def published(self) -> Path | None:
        return Path(__file__).parent / "published" / f"{self.configuration.model}.json"

    @classmethod
    def folder_name(cls, configuration: AceStep15Configuration) -> str:
        """A folder a model: each is downloaded, verified and deleted as a whole."""
        model = configuration.model
        return cls.default_folder if model == "turbo" else f"{cls.default_folder}-{model}"

    @property
    def _model_folder(self) -> str:
        """The diffusion model's, in a checkpoint of the original's layout."""
        return f"acestep-v15-{self.configuration.model}"

    @property
    def _signs(self) -> list[Path]:
        """One file of each layout that tells it; everything else is checked when it is read."""
        folders = (self._model_folder, "transformer")
        return [self.folder / folder / "config.json" for folder in folders]

    def choose(self) -> FileSet | None:
        there: list[PrecisionName] = [
            each for each in PRECISIONS if store.exists(self.folder / each / MANIFEST)
        ]
        if self.configuration.variant is not None:
            return self._set(self.configuration.variant)
        if self._has_checkpoint() or not there:
            return self._set("int8")
        return self._set(there[0])

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        if not self._has_checkpoint():
            raise ModelNotFound(
                f"{self.folder} does not hold the checkpoint that {precision} is made of.",
                hint=self.repair(),
            )
        return self._planned(precision)

    def make(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> None:
        from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
        from lofi_daemon.backends.ace_step_15.make import make_set, options_for

        checkpoint = Checkpoint.find(self.folder, self._model_folder)
        options = options_for(files.folder, files.precision, self.threads)
        make_set(checkpoint, files.folder, options, on_progress, cancel)

    def making_bytes(self, files: FileSet) -> int:
        from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint

        largest = Checkpoint.find(self.folder, self._model_folder).largest_tensor
        return MAKING_COPIES * 4 * largest + MAKING_BYTES

    def manifest(self, files: FileSet) -> Manifest:
        """What the set says of itself, or will say when it is made. Raises ModelLoadFailed."""
        if self.is_made(files):
            return read_manifest(files.folder)
        return Manifest(model_version=files.version, precision=files.precision)

    def how_to_read(self, files: FileSet) -> str:
        """What to do about a made set that lacks what reads music."""
        if not self._has_checkpoint():
            return f"Delete {files.folder}. {self.repair()}"
        return (
            f"Delete {files.folder}: it is made again from the download, and then reads music too. "
            "Where it does not, the download lacks the parts; the original's repository has them."
        )

    def original_names(self) -> Iterator[str]:
        yield from super().original_names()
        for precision in PRECISIONS:
            made = making.read_made_of(self.folder / precision)
            yield from () if made is None else made.source

    def _set(self, precision: PrecisionName) -> FileSet | None:
        if self._has_checkpoint():
            planned = self._planned(precision)
            if not self.is_made(planned):
                return planned
            version = read_manifest(planned.folder).model_version
            return FileSet(planned.folder, precision, version, self.folder)
        folder = self.folder / precision
        if not store.exists(folder / MANIFEST):
            return None
        return FileSet(folder, precision, read_manifest(folder).model_version)

    def _planned(self, precision: PrecisionName) -> FileSet:
        return FileSet(
            self.folder / precision, precision, f"1.5-{self._kind()}-{precision}", self.folder
        )

    def _kind(self) -> str:
        """turbo, base or sft, as the checkpoint's configuration says; the larger ones with xl-."""
        config = read_any(next(each for each in self._signs if each.is_file()))
        kind = config.get("model_version") or ("turbo" if config.get("is_turbo") else "base")
        width = config.get("hidden_size")
        encoder = cast("int | None", config.get("encoder_hidden_size")) or width
        return f"{'' if encoder == width else 'xl-'}{kind:.32}"

    def _has_checkpoint(self) -> bool:
        return any(sign.is_file() for sign in self._signs)
