"""`lofi-daemon doctor`: what is installed, what each model needs, and whether there is room."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from lofi_daemon import __version__
from lofi_daemon.backends.demo.backend import BUNDLE
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.models.manifest import DOWNLOADABLE, load_manifest
from lofi_daemon.text import say

# Sizes of the published files, for models that are not here yet. The Hub's list, read when a
# download starts, has the exact number.
PUBLISHED_BYTES = {"ace_step": 11_500_000_000, "musicgen": 1_900_000_000}
WORKING_BYTES = 500_000_000
"""What a track of a few minutes needs besides the weights, roughly."""


@dataclass(frozen=True)
class BackendDiagnosis:
    """A model and its needs in bytes: `disk_bytes` for its files, `memory_bytes` while it works.

    `free_bytes` is what the disk of its folder has left; `licence` is that of the weights.
    """

    type: str
    name: str
    installed: bool
    error: str | None
    folder: str
    licence: str | None
    disk_bytes: int
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Diagnosis:
    version: str
    python: str
    executable: str
    onnxruntime: str | None
    providers: list[str]
    problem: str | None
    memory_bytes: int | None
    tracks_folder: str
    tracks_free_bytes: int
    backends: list[BackendDiagnosis]


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print the diagnosis; the exit status is 1 where no model would work."""
    diagnosis = diagnose(settings)
    if as_json:
        say(json.dumps(asdict(diagnosis)))
    else:
        _print(diagnosis)
    works = any(each.installed and each.error is None for each in diagnosis.backends)
    return 0 if works and diagnosis.problem is None else 1


def diagnose(settings: Settings) -> Diagnosis:
    """Look at everything; loads onnxruntime to ask what it can compute on."""
    version, providers, problem = _onnxruntime()
    return Diagnosis(
        version=__version__,
        python=sys.version.split()[0],
        executable=sys.executable,
        onnxruntime=version,
        providers=providers,
        problem=problem,
        memory_bytes=_memory_bytes(),
        tracks_folder=str(settings.tracks_folder),
        tracks_free_bytes=_free_bytes(settings.tracks_folder),
        backends=_backends(settings),
    )


def _onnxruntime() -> tuple[str | None, list[str], str | None]:
    try:
        import onnxruntime
    except ImportError as error:
        return None, [], f"onnxruntime cannot be loaded: {error}"
    return onnxruntime.__version__, list(onnxruntime.get_available_providers()), None


def _backends(settings: Settings) -> list[BackendDiagnosis]:
    folders = {
        "ace_step": settings.ace_step_folder,
        "musicgen": settings.musicgen_folder,
        "demo": BUNDLE,
    }
    diagnoses: list[BackendDiagnosis] = []
    for backend in Registry(settings):
        info, available = backend.info, backend.availability()
        folder = folders[info.type]
        disk = _size(folder) if available.installed else PUBLISHED_BYTES.get(info.type, 0)
        diagnoses.append(
            BackendDiagnosis(
                type=info.type,
                name=info.name,
                installed=available.installed,
                error=available.error,
                folder=str(folder),
                licence=_licence(info.type, folder),
                disk_bytes=disk,
                memory_bytes=available.memory_bytes or disk + WORKING_BYTES,
                free_bytes=_free_bytes(folder),
            )
        )
    return diagnoses


def _licence(backend: str, folder: Path) -> str | None:
    """Of the bundle's own manifest, else of the published model."""
    manifest = folder / "manifest.json"
    if manifest.is_file():
        try:
            licence = json.loads(manifest.read_bytes()).get("licence")
        except (OSError, ValueError, AttributeError):
            licence = None  # a broken bundle: the backend's own error says so
        if isinstance(licence, str):
            return licence
    return str(load_manifest(backend).licence) if backend in DOWNLOADABLE else None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _free_bytes(folder: Path) -> int:
    """Free space where the folder is, or would be made."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _memory_bytes() -> int | None:
    """Memory of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _print(diagnosis: Diagnosis) -> None:
    memory = diagnosis.memory_bytes
    say(f"lofi-daemon {diagnosis.version}, Python {diagnosis.python} ({diagnosis.executable})")
    if diagnosis.problem is not None:
        say(diagnosis.problem)
    else:
        say(f"onnxruntime {diagnosis.onnxruntime}: {', '.join(diagnosis.providers)}")
    say(f"memory {_gigabytes(memory)}" if memory is not None else "memory unknown")
    say(f"tracks in {diagnosis.tracks_folder}, {_gigabytes(diagnosis.tracks_free_bytes)} free")
    for backend in diagnosis.backends:
        state = backend.error or ("installed" if backend.installed else "not installed")
        say(
            f"{backend.type}: {state}; {backend.licence or 'no licence given'}; files "
            f"{_gigabytes(backend.disk_bytes)}, memory {_gigabytes(backend.memory_bytes)}, "
            f"{_gigabytes(backend.free_bytes)} free in {backend.folder}"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
