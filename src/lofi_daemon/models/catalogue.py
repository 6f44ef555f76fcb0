"""Where the models of this installation come from and where they lie, as the user configured it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.config import Settings
from lofi_daemon.models.manifest import (
    ModelManifest,
    from_source,
    load_manifest,
    parse_source,
)


@dataclass(frozen=True)
class CatalogueEntry:
    """A model and its folder; repository: where the user wants it from, None for its own."""

    manifest: ModelManifest
    folder: Path
    repository: str | None


def find_model(settings: Settings, model: str, repository: str | None = None) -> CatalogueEntry:
    """The model as configured; `repository` (owner/name[/folder][@revision]) goes before that.

    Raises InvalidBackend, ConfigurationError.
    """
    manifest = load_manifest(model)
    folders = {
        "ace_step_15": settings.ace_step_15_folder,
        "ace_step": settings.ace_step_folder,
        "musicgen": settings.musicgen_folder,
    }
    configured = {
        "ace_step_15": settings.ace_step_15_repository,
        "ace_step": settings.ace_step_repository,
        "musicgen": settings.musicgen_repository,
    }
    chosen = repository or configured[model]
    if chosen is not None:
        manifest = from_source(manifest, parse_source(chosen))
    return CatalogueEntry(manifest, folders[model], chosen)
