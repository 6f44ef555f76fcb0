"""A bundle behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.lifecycle import FolderBackend
from lofi_daemon.backends.kit.manifest import told_of
from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    FILES,
    Defaults,
    Manifest,
    Run,
    read_manifest,
)
from lofi_daemon.backends.kit.mel_diffusion.needs import needs
from lofi_daemon.backends.protocol import (
    BackendInfo,
    GenerationRequest,
    Need,
    Phase,
    ProgressCallback,
    Terms,
)
from lofi_daemon.backends.tasks import Task, TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidParams
from lofi_daemon.files.held import Derived
from lofi_daemon.models.file_set import FileSet
from lofi_daemon.models.model_files import ModelFiles

if TYPE_CHECKING:
    from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds
    from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
    from lofi_daemon.backends.kit.mel_diffusion.requests import Resolver
    from lofi_daemon.sound.material import Material

# From the latents that are kept beside a model's own tracks.
TASKS = (
    TaskOffer("variation", strength=True),
    TaskOffer("extend"),
    TaskOffer("repaint"),
    TaskOffer("flow"),
)

Composer = Callable[[GenerationRequest], "LyricIds"]


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


@dataclass(frozen=True)
class Seams:
    """end_sec: where a track turns to its end, None: nowhere. bar_frames: latent frames a bar."""

    end_sec: float | None = None
    bar_frames: int = 1


def _nearest(request: GenerationRequest, allowed: range) -> int:
    from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for

    return min(max(frames_for(request.duration_sec), allowed[0]), allowed[-1])


class BundleBackend(FolderBackend["AceStepPipeline", ModelFiles[Any]]):
    """Any ACE-Step-shaped bundle as a Backend: the folder and its manifest make the difference."""

    def __init__(
        self,
        info: BackendInfo,
        files: ModelFiles[Any],
        *,
        configured: ConfiguredDefaults | None = None,
        compose: Composer | None = None,
        seams: Callable[[Material], Seams] | None = None,
        loop_frames: Callable[[GenerationRequest, range], int] | None = None,
    ) -> None:
        """seams: where a track can be gone on from, by what it was made of. loop_frames: latent
        frames of a loop, of those that are allowed; the nearest to what is asked by default.
        """
        super().__init__(info, files)
        self._seams = seams
        self._told = Derived(partial(told_of, Manifest))
        self._configured = configured or ConfiguredDefaults()
        self._resolver = Derived(self._resolver_for)
        self._compose = compose
        self._best_loop = loop_frames or _nearest

    def terms(self) -> Terms:
        told = {"erg", "defaults", "qualities", "relative_cost"}
        return self._manifest().model_dump(mode="json", include=told)

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        manifest = self._manifest() if terms is None else self._told.of(terms)
        if request.task is not None:
            request.shared_options(DiffusionOptions).raise_if_it_loops()
            if terms is None and manifest.score is None:
                self._raise_if_it_cannot_read(request.task)
            request = self._joined(request, request.task, manifest)
        elif request.shared_options(DiffusionOptions).loop:
            from lofi_daemon.backends.kit.mel_diffusion.loop import seconds_of

            request = replace(request, duration_sec=seconds_of(self._loop_frames(request)))
        check_duration(self._info, request.duration_sec)
        return self._resolver.of(manifest).resolve(request)

    def _resolver_for(self, manifest: Manifest) -> Resolver:
        # numpy and its kin come in with the first request.
        from lofi_daemon.backends.kit.mel_diffusion.requests import Resolver

        return Resolver(manifest, self._configured.over(manifest))

    def _joined(
        self, request: GenerationRequest, task: Task, manifest: Manifest
    ) -> GenerationRequest:
        """The request with nothing of its task left open: an extension's span is laid where its
        source can be left.

        Raises InvalidParams where the source was not kept in a form that can be gone on from.
        """
        from lofi_daemon.backends.kit.editing import joined, material_of
        from lofi_daemon.backends.kit.finish import END_FADE_SEC
        from lofi_daemon.backends.kit.mel_diffusion.editing import (
            FRAMES_PER_SEC,
            RAMP_SEC,
            USUAL_STRENGTH,
        )

        # What plays from a score was trained whole: no other version reads its latents.
        alone = manifest.score is not None
        if alone and task.source.model_version != manifest.model_version:
            raise InvalidParams(
                f"{task.source.title} was made by {self._info.name} {task.source.model_version}, "
                f"and {manifest.model_version} is installed.",
                hint="Make it again with the same words and seed.",
                parameters=["source"],
            )
        mastering = manifest.mastering
        fade_in, fade_out = (
            (0.0, END_FADE_SEC)
            if mastering is None
            else (mastering.fade_in_sec, mastering.fade_out_sec)
        )
        task = self._with_own_material(task)
        if task.name == "from_audio" and task.strength is None:
            task = replace(task, strength=USUAL_STRENGTH)
        seams = Seams() if self._seams is None else self._seams(material_of(task))
        whole = task.source.duration_sec - fade_out - RAMP_SEC
        end = whole if seams.end_sec is None else min(whole, seams.end_sec)
        task = joined(task, end, fade_in + RAMP_SEC, FRAMES_PER_SEC, seams.bar_frames)
        return replace(request, task=task, duration_sec=task.duration_sec)

    def _with_own_material(self, task: Task) -> Task:
        """What another model made a track of says nothing here: its sound does."""
        if task.source.backend in (None, self._info.type):
            return task
        return replace(task, source=replace(task.source, material=None))

    def _raise_if_it_cannot_read(self, task: Task) -> None:
        """Raises ModelNotFound where what reads music is needed, and is not there."""
        from lofi_daemon.backends.kit.mel_diffusion.encode import raise_if_missing
        from lofi_daemon.backends.kit.mel_diffusion.source import reads_sound

        if reads_sound(self._with_own_material(task)):
            raise_if_missing(self._files.running_folder())

    def _loop_frames(self, request: GenerationRequest) -> int:
        from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for

        check_duration(self._info, request.duration_sec)
        least, most = (
            frames_for(self._info.min_duration_sec),
            frames_for(self._info.max_duration_sec),
        )
        return self._best_loop(request, range(least, most))

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        from lofi_daemon.backends.kit.mel_diffusion.requests import expected_seconds

        if terms is not None:
            manifest = self._told.of(terms)
            return expected_seconds(request, manifest, reads_sound=_reads_sound(request))
        manifest, reads = self._manifest(), _reads_sound(request)
        return self._loading() | expected_seconds(request, manifest, reads_sound=reads)

    def _names(self, files: FileSet) -> Iterable[str]:
        return FILES

    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        return needs(folder, request.made_sec, reads_sound=_reads_sound(request))

    def _loading_sec(self, files: FileSet) -> float:
        return read_manifest(files.folder).relative_cost.loading

    def _open(
        self, files: FileSet, *, keep: bool, cancel: CancelToken, on_progress: ProgressCallback
    ) -> AceStepPipeline:
        from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
        from lofi_daemon.onnx.session import SessionSettings

        return AceStepPipeline(
            files.folder,
            SessionSettings(device=self._files.device, threads=self._files.threads),
            compose=self._compose,
            sing=self._singer(files.folder),
            keep_loaded=keep,
            cancel=cancel,
            on_progress=on_progress,
        )

    def _singer(self, folder: Path) -> Composer | None:
        """What writes the lyric tokens of a request that has lyrics; None where nobody sings."""
        return None

    def _manifest(self) -> Manifest:
        """Of the files that a job would run now: those in memory may have been replaced."""
        return read_manifest(self._files.running_folder())


def _reads_sound(request: GenerationRequest) -> bool:
    if request.task is None:
        return False
    from lofi_daemon.backends.kit.mel_diffusion.source import reads_sound

    return reads_sound(request.task)
