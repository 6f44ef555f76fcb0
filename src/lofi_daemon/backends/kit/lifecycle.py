"""What every model whose files lie in a folder does alike: looked at, prepared, loaded, asked."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from lofi_daemon.backends.checks import files_error
from lofi_daemon.backends.kit.files import FolderState, folder_state
from lofi_daemon.backends.kit.looked_at import LookedAt
from lofi_daemon.backends.protocol import (
    Availability,
    BackendInfo,
    GenerationRequest,
    Need,
    Phase,
    PhaseProgress,
    ProgressCallback,
    Residency,
    Terms,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed, ModelNotFound
from lofi_daemon.models.file_set import FileSet
from lofi_daemon.models.model_files import ModelFiles, OnProgress

if TYPE_CHECKING:
    from lofi_daemon.sound.clip import AudioClip
    from lofi_daemon.sound.stream import Listener

# What the libraries under every model take to load, at reference speed.
IMPORTING_SEC = 0.1
# Of what `Availability.memory_bytes` tells the needs.
USUAL_SEC = 60.0


class Pipeline(Protocol):
    """A model in memory. device: what computes; None until that is known."""

    device: str | None

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip: ...


PipelineT = TypeVar("PipelineT", bound=Pipeline)
FilesT = TypeVar("FilesT", bound=ModelFiles[Any])


class FolderBackend(ABC, Generic[PipelineT, FilesT]):
    """A Backend but for what is a model's own: its requests, its needs, its pipeline."""

    def __init__(self, info: BackendInfo, files: FilesT) -> None:
        self._info = info
        self._files = files
        self._looked_at = LookedAt(files.folder)
        self._pipeline: PipelineT | None = None
        self._residency: Residency | None = None
        self._loaded: FileSet | None = None
        self._chosen: Path | None = None
        self._state: FolderState = ()
        self._prepared: FileSet | None = None

    @abstractmethod
    def _open(
        self, files: FileSet, *, keep: bool, cancel: CancelToken, on_progress: ProgressCallback
    ) -> PipelineT:
        """keep: all of the model is loaded now and stays. Raises ModelLoadFailed, Cancelled."""

    @abstractmethod
    def _names(self, files: FileSet) -> Iterable[str]:
        """The files without which this set, as it lies, cannot run. Raises ModelLoadFailed."""

    def _names_to_make(self, files: FileSet) -> Iterable[str]:
        """The files without which this set cannot be made, beside those that are recorded."""
        return ()

    @abstractmethod
    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        """Of the files in this folder. Raises ModelLoadFailed."""

    @abstractmethod
    def _loading_sec(self, files: FileSet) -> float:
        """At reference speed. Raises ModelLoadFailed."""

    def _making_sec(self, files: FileSet) -> float:
        """What making the set takes where it is not made yet, at reference speed."""
        return 0.0

    @property
    def info(self) -> BackendInfo:
        return self._info

    def terms(self) -> Terms:
        return {}

    @property
    def residency(self) -> Residency | None:
        return self._residency

    def availability(self) -> Availability:
        device = None if self._pipeline is None else self._pipeline.device
        return self._looked_at.as_of(self._look, self._loaded, device)

    def _look(self) -> Availability:
        files = self._current()
        if files is None:
            return Availability(installed=False)
        error = self._error(files)
        if error is not None:
            return Availability(installed=True, error=error)
        memory: int | None = None
        if self._files.is_made(files):
            usual = GenerationRequest("", USUAL_SEC, 0)
            memory = max(need.total for need in self._needs(files.folder, usual).values())
        return Availability(
            installed=True,
            model_version=files.version,
            device=None if self._pipeline is None else self._pipeline.device,
            memory_bytes=memory,
        )

    def _error(self, files: FileSet) -> str | None:
        """What is wrong with the files that this set is, or is made of. Raises ModelLoadFailed."""
        made = self._files.is_made(files)
        names = self._names(files) if made else self._names_to_make(files)
        return files_error(self._files.needed_folder(files), names, self._repair(files))

    def _repair(self, files: FileSet) -> str:
        """What to do about its files: those that it has to be made of are downloaded."""
        return self._files.repair(files if self._files.is_made(files) else None)

    def _current(self) -> FileSet | None:
        """The set in memory, or, where other files have taken its place, the one that would run."""
        chosen = self._files.choose()
        loaded = self._loaded
        if loaded is None or chosen is None:
            return chosen
        same = chosen.folder in (loaded.folder, self._chosen)
        return loaded if same and self._state == folder_state(loaded.folder) else chosen

    def _running(self) -> FileSet:
        """Raises ModelNotFound, ModelLoadFailed."""
        files = self._current()
        if files is None:
            raise ModelNotFound(
                f"{self._info.name} is not in {self._files.folder}.", hint=self._files.repair()
            )
        return files

    def _loading(self) -> dict[Phase, float]:
        """The forecast of what comes before the work, empty while the model is loaded."""
        if self._pipeline is not None:
            return {}
        files = self._running()
        importing = IMPORTING_SEC if _imports_first() else 0.0
        loading = {Phase.LOADING: self._loading_sec(files) + importing}
        if self._files.is_made(files):
            return loading
        return {Phase.PREPARING: self._making_sec(files), **loading}

    def needs(self, request: GenerationRequest) -> Mapping[Phase, Need]:
        return self._needs(self._files.running_folder(), request)

    def prepare(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        files = self._running()
        if files is self._loaded:
            self._prepared = files
            return
        error = self._error(files)
        if error is not None:
            raise ModelLoadFailed(error, hint=self._repair(files))
        self._chosen = files.folder
        try:
            self._prepared = self._files.prepared(_preparing(on_progress, cancel), cancel)
        except OSError as failure:
            raise ModelLoadFailed(
                f"{failure.filename or files.folder} cannot be written: "
                f"{failure.strerror or failure}.",
                hint="Free some space and ask again; it goes on where it stopped.",
            ) from failure

    def load(
        self,
        cancel: CancelToken,
        on_progress: ProgressCallback,
        residency: Residency = Residency.KEPT,
    ) -> None:
        if self._prepared is None:
            self.prepare(cancel, on_progress)
        files, self._prepared = self._prepared, None
        assert files is not None, "prepare has found what runs"
        if files is self._loaded and residency is self._residency:
            return
        self.unload()  # other files took the place of those that are in memory
        imported = IMPORTING_SEC if _imports_first() else 0.0
        before = imported / (imported + self._loading_sec(files))

        def report(progress: PhaseProgress) -> None:
            fraction = before + (1.0 - before) * progress.fraction
            on_progress(replace(progress, fraction=fraction))

        report(PhaseProgress(Phase.LOADING, 0, 1, 0.0))
        state = folder_state(files.folder)
        keep = residency is Residency.KEPT
        self._pipeline = self._open(files, keep=keep, cancel=cancel, on_progress=report)
        self._loaded, self._state, self._residency = files, state, residency

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip:
        assert self._pipeline is not None, "load comes before generate"
        assert self._loaded is not None, "what is in memory came from somewhere"
        clip = self._pipeline.generate(
            request, on_progress=on_progress, cancel=cancel, listener=listener
        )
        by_phase = self._residency is Residency.BY_PHASE
        if by_phase and self._state != folder_state(self._loaded.folder):
            raise ModelInferenceFailed(
                f"The files of {self._info.name} changed while the track was made.",
                hint="Ask for it again: the new files make it.",
            )
        return clip

    def unload(self) -> None:
        self._pipeline, self._residency, self._loaded, self._state = None, None, None, ()


def _preparing(on_progress: ProgressCallback, cancel: CancelToken) -> OnProgress:
    """Tells the making of a set of files as a phase of a job."""

    def on_share(file: str, share: float) -> None:
        on_progress(PhaseProgress(Phase.PREPARING, round(100 * share), 100, share))
        cancel.raise_if_cancelled()

    return on_share


def _imports_first() -> bool:
    """Whether the first model of this process is loaded: its libraries come before it."""
    return "onnxruntime" not in sys.modules
