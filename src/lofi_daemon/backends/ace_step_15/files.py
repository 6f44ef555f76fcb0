"""Where the files of ACE-Step 1.5 come from and lie, and which set of them runs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

from pydantic import Field

from lofi_daemon.backends.ace_step_15 import sets
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress


class AceStep15Configuration(ModelConfiguration):
    """Which of the sets runs."""

    variant: PrecisionName | None = Field(
        default=None,
        title="VARIANT",
        description="Which files of ACE-Step 1.5 run: int8, int4, fp16 or fp32; if not set, int8.",
    )


class AceStep15Files(ModelFiles[AceStep15Configuration]):
    """The checkpoint as it is downloaded, and the sets that are made of it in folders inside."""

    type = "ace_step_15"
    title = "ACE-Step 1.5"
    published: ClassVar[Path | None] = Path(__file__).parent / "published.json"
    default_folder = "ace-step-15"
    configuration_class = AceStep15Configuration
    smaller = ("int8", "int4")

    def choose(self) -> FileSet | None:
        found = sets.find_set(self.folder, self.configuration.variant, self.repair())
        if found is None:
            return None
        made_of = None if found.made else self.folder
        return FileSet(found.folder, found.precision, found.manifest.model_version, made_of)

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        found = sets.find_set(self.folder, precision, self.repair())
        if found is None:
            raise ModelLoadFailed(f"There is no {self.title} in {self.folder}.", hint=self.repair())
        return FileSet(found.folder, precision, found.manifest.model_version, self.folder)

    def prepare(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> FileSet:
        if files.made_of is None:
            return files
        folder = sets.make(
            self.folder, cast("PrecisionName", files.precision), self.threads, on_progress, cancel
        )
        return FileSet(folder, files.precision, files.version)
