"""Where the files of ACE-Step come from and lie, and which of them run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lofi_daemon.backends.kit.diffusion_options import SchedulerName
from lofi_daemon.backends.kit.mel_diffusion.bundle import FILES, read_manifest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models import store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress

# Weights are read one by one: 2.8 GB was measured for a model of the real size.
MAKING_BYTES = 3_000_000_000
VariantName = Literal["original", "int8", "int4"]


class AceStepConfiguration(ModelConfiguration):
    """Which of the sets runs, and what a request gets that does not say otherwise."""

    variant: VariantName | None = Field(
        default=None,
        title="VARIANT",
        description="Which files of ACE-Step run: original, int8 or int4; if not set, the most "
        "precise.",
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=200,
        title="STEPS",
        description="Diffusion steps when a request names none.",
    )
    scheduler: SchedulerName | None = Field(
        default=None, title="SCHEDULER", description="Solver when a request names none."
    )
    guidance: float | None = Field(
        default=None,
        ge=1.0,
        le=30.0,
        allow_inf_nan=False,
        title="GUIDANCE",
        description="Guidance scale when a request names none.",
    )


class AceStepFiles(ModelFiles[AceStepConfiguration]):
    """The published or exported files, and smaller sets of them in folders inside."""

    type = "ace_step"
    title = "ACE-Step 3.5B"
    default_folder = "ace-step"
    configuration_class = AceStepConfiguration
    smaller = ("int8", "int4")

    @property
    def published(self) -> Path | None:
        return Path(__file__).parent / "published.json"

    def choose(self) -> FileSet | None:
        folder = self._chosen_folder()
        if not any(store.exists(folder / name) for name in FILES):
            return None
        manifest = read_manifest(folder)
        return FileSet(folder, manifest.precision, manifest.model_version)

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        version = f"{read_manifest(self.folder).model_version}-{precision}"
        return FileSet(self.folder / precision, precision, version, self.folder)

    def make(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> None:
        from lofi_daemon.models.quantize.model import QuantizeOptions, quantize_model

        options = QuantizeOptions(threads=self.threads)
        quantize_model(self.folder, files.precision, options, on_progress, cancel)

    def making_bytes(self, files: FileSet) -> int:
        everything = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        return min(everything, MAKING_BYTES)

    def _chosen_folder(self) -> Path:
        """A variant's folder, or, where none is named, the most precise set there is."""
        variant = self.configuration.variant
        if variant == "original":
            return self.folder
        if variant is not None:
            return self.folder / variant
        sets = (self.folder, *(self.folder / each for each in self.smaller))
        return next((each for each in sets if store.is_complete(each)), self.folder)
