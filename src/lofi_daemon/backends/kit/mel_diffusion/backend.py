"""A bundle behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lofi_daemon.backends.checks import (
    check_duration,
    check_files,
    files_error,
    looked_at,
    memory_remedy,
)
from lofi_daemon.backends.kit.files import FolderState, folder_state
from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    FILES,
    Defaults,
    Manifest,
    Run,
    read_manifest,
)
from lofi_daemon.backends.kit.mel_diffusion.residency import needed_bytes
from lofi_daemon.backends.protocol import (
    Availability,
    BackendInfo,
    GenerationRequest,
    Phase,
    PhaseProgress,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed
from lofi_daemon.models.model_files import ModelFiles

if TYPE_CHECKING:
    from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds
    from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
    from lofi_daemon.sound.clip import AudioClip

Composer = Callable[[GenerationRequest], "LyricIds"]

# What the libraries under every model take to load, at reference speed.
IMPORTING_SEC = 0.1


@dataclass(frozen=True)
class ConfiguredDefaults:
    """What the user's configuration says where a request does not; None: the manifest decides."""

    inference_steps: int | None = None
    scheduler: str | None = None
    guidance_scale: float | None = None

    def over(self, manifest: Manifest) -> Defaults:
        """The manifest's defaults with what is configured in their place."""
        defaults = manifest.defaults
        meant = Run(scheduler=defaults.scheduler, inference_steps=defaults.inference_steps)
        run = manifest.qualities.completed(self.scheduler, self.inference_steps, meant)
        scale = self.guidance_scale
        return defaults.model_copy(
            update={
                **run.model_dump(),
                "guidance_scale": defaults.guidance_scale if scale is None else scale,
            }
        )


class BundleBackend:
    """Any ACE-Step-shaped bundle as a Backend: the folder and its manifest make the difference."""

    def __init__(
        self,
        info: BackendInfo,
        files: ModelFiles[Any],
        *,
        configured: ConfiguredDefaults | None = None,
        compose: Composer | None = None,
    ) -> None:
        self._info = info
        self._files = files
        self._configured = configured or ConfiguredDefaults()
        self._compose = compose
        self._pipeline: AceStepPipeline | None = None
        self._loaded: FolderState = ()

    @property
    def _folder(self) -> Path:
        """Where the files lie that run: the model's folder, or that of a smaller set in it."""
        return self._files.running_folder()

    @property
    def _device_used(self) -> str | None:
        return self._pipeline.device if self._pipeline is not None else None

    @property
    def info(self) -> BackendInfo:
        return self._info

    def availability(self) -> Availability:
        return looked_at(self._files.folder, self._look)

    def _look(self) -> Availability:
        chosen = self._files.choose()
        if chosen is None:
            return Availability(installed=False)
        error = files_error(chosen.folder, FILES, self._files.repair(chosen))
        if error is not None:
            return Availability(installed=True, error=error)
        return Availability(
            installed=True,
            model_version=chosen.version,
            device=self._device_used,
            memory_bytes=max(needed_bytes(chosen.folder).values()),
        )

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        from lofi_daemon.backends.kit.mel_diffusion.requests import resolve

        check_duration(self._info, request.duration_sec)
        manifest = self._manifest()
        return resolve(request, manifest, self._configured.over(manifest))

    def workload(self, request: GenerationRequest) -> Mapping[Phase, float]:
        from lofi_daemon.backends.kit.mel_diffusion.requests import expected_seconds

        seconds = expected_seconds(request, self._manifest(), loaded=self._pipeline is not None)
        if Phase.LOADING in seconds and _imports_first():
            seconds[Phase.LOADING] += IMPORTING_SEC
        return seconds

    def load(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        folder = self._folder
        if self._pipeline is not None and self._loaded == folder_state(folder):
            return
        self.unload()  # other files took the place of those that are in memory
        importing = IMPORTING_SEC if _imports_first() else 0.0
        importing /= importing + self._manifest().relative_cost.loading

        def report(progress: PhaseProgress) -> None:
            fraction = importing + (1.0 - importing) * progress.fraction
            on_progress(replace(progress, fraction=fraction))

        repair = self._files.repair(self._files.choose())
        check_files(self._info, self.availability(), folder, repair, cancel)
        from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
        from lofi_daemon.backends.kit.mel_diffusion.residency import everything_fits
        from lofi_daemon.onnx.session import SessionSettings

        report(PhaseProgress(Phase.LOADING, 0, 1, 0.0))
        self._loaded = folder_state(folder)
        self._pipeline = AceStepPipeline(
            folder,
            SessionSettings(device=self._files.device, threads=self._files.threads),
            compose=self._compose,
            keep_loaded=everything_fits(folder, memory_remedy(self._info.type)),
            cancel=cancel,
            on_progress=report,
        )

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        assert self._pipeline is not None, "load comes before generate"
        clip = self._pipeline.generate(request, on_progress=on_progress, cancel=cancel)
        if self._pipeline.loads_by_phase and self._loaded != folder_state(self._folder):
            raise ModelInferenceFailed(
                f"The files of {self._info.name} changed while the track was made.",
                hint="Ask for it again: the new files make it.",
            )
        return clip

    def unload(self) -> None:
        self._pipeline, self._loaded = None, ()

    def _manifest(self) -> Manifest:
        """Of the files that a job would run now: those in memory may have been replaced."""
        return read_manifest(self._folder)


def _imports_first() -> bool:
    """Whether the first model of this process is loaded: its libraries come before it."""
    return "onnxruntime" not in sys.modules
