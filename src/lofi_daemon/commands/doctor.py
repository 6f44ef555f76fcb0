"""`lofi-daemon doctor`: what is installed, what each model needs, and whether there is room."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lofi_daemon import __version__
from lofi_daemon.backends.protocol import HERE
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.files.documents import read_document
from lofi_daemon.memory import available_memory, total_memory
from lofi_daemon.models.documents import MANIFEST
from lofi_daemon.models.model_files import ModelFiles
from lofi_daemon.radio.presets import load_presets
from lofi_daemon.text import say
from lofi_daemon.tracks import TrackCache

if TYPE_CHECKING:
    from lofi_daemon.backends.registry import Report

WORKING_BYTES = 500_000_000
"""What a track of a few minutes needs besides the weights, roughly."""


@dataclass(frozen=True)
class BackendDiagnosis:
    """A model and its needs in bytes: `disk_bytes` for its files, `memory_bytes` while it works.

    `free_bytes` is what the disk of its folder has left; `licence` is that of the weights. A model
    without files has no folder.
    """

    type: str
    name: str
    installed: bool
    error: str | None
    folder: str | None
    licence: str | None
    disk_bytes: int
    memory_bytes: int
    free_bytes: int
    place: str


@dataclass(frozen=True)
class RemoteModel:
    """A backend as the other machine lists it; status as in `get_backends`."""

    type: str
    status: str
    model_version: str | None
    error: str | None


@dataclass(frozen=True)
class RemoteDiagnosis:
    """The machine that LOFI_REMOTE names. problem: why it cannot be used.

    greeting_sec: from the start of the command to the first answer; latency_sec: of a question.
    """

    name: str
    command: str
    problem: str | None
    version: str | None
    greeting_sec: float | None
    latency_sec: float | None
    device: str | None
    models: list[RemoteModel]


@dataclass(frozen=True)
class Diagnosis:
    """providers: what onnxruntime brings; device: which of them computes, by LOFI_DEVICE's names.

    problem: why nothing can be computed.
    """

    version: str
    python: str
    executable: str
    onnxruntime: str | None
    providers: list[str]
    device: str | None
    problem: str | None
    memory_bytes: int | None
    available_bytes: int | None
    problems: list[str]
    tracks_folder: str
    tracks_free_bytes: int
    backends: list[BackendDiagnosis]
    remote: RemoteDiagnosis | None


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print the diagnosis; the exit status is 1 where no model would work."""
    diagnosis = diagnose(settings)
    if as_json:
        say(json.dumps(asdict(diagnosis)))
    else:
        _print(diagnosis)
    works = any(each.installed and each.error is None for each in diagnosis.backends)
    reached = diagnosis.remote is None or diagnosis.remote.problem is None
    return 0 if works and reached and diagnosis.problem is None else 1


def diagnose(settings: Settings) -> Diagnosis:
    """Look at everything; loads onnxruntime to ask what it can compute on."""
    version, providers, problem = _onnxruntime()
    registry = Registry(settings)
    report = registry.report()  # what it tells is what its backends are then known by
    device = None
    if problem is None:
        try:
            device = registry.device()
        except ModelLoadFailed as error:
            problem = f"{error.message} {error.hint}"
    return Diagnosis(
        version=__version__,
        python=sys.version.split()[0],
        executable=sys.executable,
        onnxruntime=version,
        providers=providers,
        device=device,
        problem=problem,
        memory_bytes=total_memory(),
        available_bytes=available_memory(),
        problems=_problems(settings),
        tracks_folder=str(settings.tracks_folder),
        tracks_free_bytes=_free_bytes(settings.tracks_folder),
        backends=_backends(registry),
        remote=None if report is None else _remote(report),
    )


def _onnxruntime() -> tuple[str | None, list[str], str | None]:
    try:
        import onnxruntime
    except ImportError as error:
        return None, [], f"onnxruntime cannot be loaded: {error}"
    return onnxruntime.__version__, list(onnxruntime.get_available_providers()), None


def _backends(registry: Registry) -> list[BackendDiagnosis]:
    diagnoses: list[BackendDiagnosis] = []
    for choice in registry.survey():
        info, available = choice.backend.info, choice.availability
        files = info.files
        if files is None:
            disk = 0
        else:
            disk = _size(files.folder) if available.installed else files.published_bytes
        diagnoses.append(
            BackendDiagnosis(
                type=info.type,
                name=info.name,
                installed=available.installed,
                error=available.error,
                folder=str(files.folder) if files is not None else None,
                licence=_licence(files) if files is not None else None,
                disk_bytes=disk,
                memory_bytes=available.memory_bytes or disk + WORKING_BYTES,
                free_bytes=_free_bytes(files.folder) if files is not None else 0,
                place=info.place,
            )
        )
    return diagnoses


def _remote(report: Report) -> RemoteDiagnosis:
    return RemoteDiagnosis(
        name=report.name,
        command=report.command,
        problem=report.problem,
        version=report.version,
        greeting_sec=report.greeting_sec,
        latency_sec=report.latency_sec,
        device=report.device,
        models=[
            RemoteModel(each.type, each.status, each.model_version, each.error)
            for each in report.backends
        ],
    )


def _licence(files: ModelFiles[Any]) -> str | None:
    """Of the bundle's own manifest, else of the published model."""
    manifest = files.folder / MANIFEST
    try:
        licence = read_document(manifest).get("licence")
    except (OSError, ValueError, AttributeError):
        licence = None  # not there, or a broken bundle: the backend's own error says so
    if isinstance(licence, str):
        return licence
    return files.licence


def _size(folder: Path) -> int:
    sizes: list[int] = []
    with suppress(OSError):  # no folder, or none that can be entered
        for path in folder.rglob("*"):
            with suppress(OSError):  # gone meanwhile
                sizes.append(path.stat().st_size if path.is_file() else 0)
    return sum(sizes)


def _free_bytes(folder: Path) -> int:
    """Free space where the folder is, or would be made; 0 where that cannot be seen."""
    for path in (folder, *folder.parents):
        try:
            return shutil.disk_usage(path).free
        except OSError:
            continue
    return 0


def _problems(settings: Settings) -> list[str]:
    """What is wrong with folders of the user's, although every model may work."""
    tracks = TrackCache(settings.tracks_folder, settings.cache_max_bytes)
    tracks.tracks()
    presets = load_presets().problem
    problems = [tracks.problem or _unwritable(settings.tracks_folder)]
    problems.append(presets.message if presets is not None else None)
    return [problem for problem in problems if problem is not None]


def _unwritable(folder: Path) -> str | None:
    """Why no track can be put into the folder, as far as that can be seen without trying."""
    if folder.is_symlink() and not os.path.exists(folder):  # noqa: PTH110 - this one never raises
        return f"The track folder {folder} is a link to nothing."
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not os.path.isdir(there):  # noqa: PTH112
        return f"The track folder {folder} cannot be made: {there} is no folder."
    if not os.access(there, os.W_OK | os.X_OK):
        return f"The track folder {folder} cannot be written: {there} belongs to somebody else."
    return None


def _print(diagnosis: Diagnosis) -> None:
    say(f"lofi-daemon {diagnosis.version}, Python {diagnosis.python} ({diagnosis.executable})")
    if diagnosis.problem is not None:
        say(diagnosis.problem)
    else:
        say(f"onnxruntime {diagnosis.onnxruntime} computes on {diagnosis.device}")
    say(_memory(diagnosis))
    say(f"tracks in {diagnosis.tracks_folder}, {_gigabytes(diagnosis.tracks_free_bytes)} free")
    for problem in diagnosis.problems:
        say(problem)
    if diagnosis.remote is not None:
        _print_remote(diagnosis.remote)
    for backend in diagnosis.backends:
        state = backend.error or ("installed" if backend.installed else "not installed")
        if backend.place != HERE:
            say(f"{backend.type} on {backend.place}: {state}")
            continue
        told = (
            f"{backend.type}: {state}; {backend.licence or 'no licence given'}; files "
            f"{_gigabytes(backend.disk_bytes)}, memory {_gigabytes(backend.memory_bytes)}"
        )
        if backend.folder is not None:
            told += f", {_gigabytes(backend.free_bytes)} free in {backend.folder}"
        say(told)


def _print_remote(remote: RemoteDiagnosis) -> None:
    if remote.version is not None:
        seconds, answer = remote.greeting_sec or 0.0, 1000 * (remote.latency_sec or 0.0)
        times = f"reached in {seconds:.1f} s, answers in {answer:.0f} ms"
        computes = f", computes on {remote.device}" if remote.device is not None else ""
        say(f"{remote.name}: lofi-daemon {remote.version}, {times}{computes}")
        for model in remote.models:
            told = model.error or model.model_version or ""
            say(f"{remote.name}: {model.type} {model.status.replace('_', ' ')} {told}".rstrip())
    if remote.problem is not None:
        say(remote.problem)


def _memory(diagnosis: Diagnosis) -> str:
    if diagnosis.memory_bytes is None:
        return "memory unknown"
    told = f"memory {_gigabytes(diagnosis.memory_bytes)}"
    if diagnosis.available_bytes is not None:
        told += f", {_gigabytes(diagnosis.available_bytes)} available"
    return told


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
