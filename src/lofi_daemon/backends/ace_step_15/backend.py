"""ACE-Step 1.5 behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    DECODER,
    TEXT_ENCODER,
    TOKEN_EMBEDDINGS,
    TRANSFORMER,
    Manifest,
)
from lofi_daemon.backends.ace_step_15.files import AceStep15Files
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.ace_step_15.sets import FileSet, ensure, find_set
from lofi_daemon.backends.checks import check_duration, check_memory, memory_remedy
from lofi_daemon.backends.kit.files import FolderState, folder_state
from lofi_daemon.backends.protocol import (
    Availability,
    BackendInfo,
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
    Understood,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed, ModelNotFound
from lofi_daemon.memory import available_memory
from lofi_daemon.models import store
from lofi_daemon.models.file_set import PrecisionName

if TYPE_CHECKING:
    from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
    from lofi_daemon.config import Settings
    from lofi_daemon.sound.clip import AudioClip

PHASES: Mapping[str, tuple[str, ...]] = {
    "encoding": (TOKEN_EMBEDDINGS, TEXT_ENCODER, CONDITION_ENCODER),
    "diffusing": (TRANSFORMER,),
    "decoding": (DECODER,),
}
# Besides the weights: 0.4 GB was measured for a track of a minute.
WORKING_BYTES = 500_000_000
# All graphs stay in memory only where this much is left for everybody else, or as much as they
# take themselves.
LEFT_BYTES = 4_000_000_000
# Making a set takes this long against loading one, and comes before it.
MAKING_SEC = 90.0


class AceStep15Backend:
    """One model folder: a checkpoint as it was downloaded, the sets made of it, or both."""

    def __init__(
        self,
        info: BackendInfo,
        folder: Path,
        *,
        precision: PrecisionName | None = None,
        device: str = "cpu",
        threads: int | None = None,
        repair: str,
    ) -> None:
        self._info = info
        self._folder = folder
        self._precision: PrecisionName | None = precision
        self._device = device
        self._threads = threads
        self._repair = repair
        self._pipeline: AceStep15Pipeline | None = None
        self._loaded: FolderState = ()

    @property
    def info(self) -> BackendInfo:
        return self._info

    def availability(self) -> Availability:
        try:
            found = self._find()
            if found is None:
                return Availability(installed=False)
            if found.error is not None:
                return Availability(installed=True, error=found.error)
            memory = max(_needed(found.folder).values()) if found.made else None
            version = found.manifest.model_version
        except ModelLoadFailed as broken:
            return Availability(installed=True, error=f"{broken.message} {broken.hint}")
        device = None if self._pipeline is None else self._pipeline.device
        return Availability(
            installed=True, model_version=version, device=device, memory_bytes=memory
        )

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        from lofi_daemon.backends.ace_step_15.requests import resolve

        check_duration(self._info, request.duration_sec)
        return resolve(request, self._manifest())

    def workload(self, request: GenerationRequest) -> Mapping[Phase, float]:
        from lofi_daemon.backends.ace_step_15.requests import expected_seconds, piece_of

        manifest = self._manifest()
        loaded = self._pipeline is not None
        seconds = expected_seconds(piece_of(request, manifest), manifest, loaded=loaded)
        if not loaded and not self._is_made():
            seconds[Phase.LOADING] += MAKING_SEC
        return seconds

    def load(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        if self._pipeline is not None and self._loaded == folder_state(self._pipeline.folder):
            return
        self._pipeline = None
        if self._find() is None:
            raise ModelNotFound(f"{self._info.name} is not in {self._folder}.", hint=self._repair)
        loading = self._manifest().relative_cost.loading
        making = 0.0 if self._is_made() else MAKING_SEC / (MAKING_SEC + loading)

        def on_making(file: str, share: float) -> None:
            on_progress(PhaseProgress(Phase.LOADING, round(100 * share), 100, making * share))

        folder = ensure(
            self._folder, self._precision, self._threads, on_making, cancel, repair=self._repair
        )
        store.raise_if_damaged(folder, self._repair, cancel)
        state = folder_state(folder)
        from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
        from lofi_daemon.onnx.session import SessionSettings

        def on_loading(progress: PhaseProgress) -> None:
            fraction = making + (1.0 - making) * progress.fraction
            on_progress(replace(progress, fraction=fraction))

        self._pipeline = AceStep15Pipeline(
            folder,
            SessionSettings(device=self._device, threads=self._threads),
            keep_loaded=_everything_fits(folder, memory_remedy(self._info.type)),
            cancel=cancel,
            on_progress=on_loading,
        )
        self._loaded = state

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        from lofi_daemon.backends.ace_step_15.requests import piece_of

        assert self._pipeline is not None, "load comes before generate"
        piece = piece_of(request, self._pipeline.manifest)
        return self._pipeline.generate(piece, on_progress=on_progress, cancel=cancel)

    def unload(self) -> None:
        self._pipeline = None

    def _find(self) -> FileSet | None:
        return find_set(self._folder, self._precision, self._repair)

    def _is_made(self) -> bool:
        found = self._find()
        return found is not None and found.made

    def _manifest(self) -> Manifest:
        found = self._find()
        if found is None:
            raise ModelNotFound(f"{self._info.name} is not in {self._folder}.", hint=self._repair)
        return found.manifest


def ace_step_15_backend(settings: Settings) -> AceStep15Backend:
    """ACE-Step 1.5, from the configured folder."""
    files = AceStep15Files.configured(settings)
    return AceStep15Backend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=48000,
            min_duration_sec=5.0,
            max_duration_sec=600.0,
            options=AceStep15Options,
            understand=_understood,
            files=files,
        ),
        files.folder,
        precision=files.configuration.variant,
        device=files.device,
        threads=files.threads,
        repair=files.repair(),
    )


def _understood(prompt: str) -> Understood:
    from lofi_daemon.backends.ace_step_15.reading import described, read_facts

    facts = read_facts(prompt)
    return Understood(text=described(facts), tempo=facts.bpm, key=facts.key)


def _needed(folder: Path) -> Mapping[str, int]:
    """Memory that each phase needs: its graphs' files, and working memory."""
    return {
        phase: WORKING_BYTES
        + sum(path.stat().st_size for graph in graphs for path in folder.glob(f"{graph}.*"))
        for phase, graphs in PHASES.items()
    }


def _everything_fits(folder: Path, remedy: str) -> bool:
    """Whether all graphs may stay in memory.

    Raises ModelLoadFailed where not even the largest phase fits.
    """
    available = available_memory()
    if available is None:
        return True
    needed = _needed(folder)
    phase = max(needed, key=needed.__getitem__)
    check_memory(f"{phase.capitalize()} with {folder}", needed[phase], available, remedy)
    everything = sum(needed.values())
    return available >= everything + min(everything, LEFT_BYTES)
