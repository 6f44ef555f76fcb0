"""The bundled model's files, which come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lofi_daemon.backends.kit.mel_diffusion.bundle import FILES, read_manifest
from lofi_daemon.config import Settings
from lofi_daemon.models import store
from lofi_daemon.models.file_set import FileSet
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles

BUNDLE = Path(__file__).parent / "bundle"


class DemoFiles(ModelFiles[ModelConfiguration]):
    """One set, always there."""

    type = "demo"
    title = "lofi demo (bundled)"
    bundled: ClassVar[Path | None] = BUNDLE
    configuration_class = ModelConfiguration

    @classmethod
    def configured(cls, settings: Settings) -> DemoFiles:
        # So small that moving data to another device costs more than it saves.
        return cls(BUNDLE, ModelConfiguration(), device="cpu", threads=settings.threads)

    def choose(self) -> FileSet | None:
        if not any(store.exists(self.folder / name) for name in FILES):
            return None
        manifest = read_manifest(self.folder)
        return FileSet(self.folder, manifest.precision, manifest.model_version)
