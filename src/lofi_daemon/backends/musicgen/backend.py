"""MusicGen behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.kit.lifecycle import FolderBackend
from lofi_daemon.backends.kit.manifest import Section, told_of
from lofi_daemon.backends.musicgen.bundle import (
    PUBLISHED_FILES,
    needed_files,
    read_config,
    read_manifest,
)
from lofi_daemon.backends.musicgen.codec_windows import decoded_frames
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.files import MusicGenFiles
from lofi_daemon.backends.musicgen.needs import BYTES_PER_WEIGHT, needs
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
from lofi_daemon.models.file_set import FileSet

if TYPE_CHECKING:
    from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
    from lofi_daemon.config import Settings

# Seconds at reference speed: a step reads its weights from memory; loading costs as much as some
# steps; making the native form quantises and writes every weight.
BYTES_PER_SECOND = 12e9
ENCODING_SEC = 0.2
LOADING_STEPS = 40.0
CONVERTING_SEC = 70e-9
DECODING_SEC_PER_FRAME = 0.0045
READING_SEC_PER_FRAME = 0.004
# From the tokens that are kept beside its own tracks, or read from any sound.
TASKS = (TaskOffer("extend", files=True), TaskOffer("from_audio", files=True, strength=True))


class Cost(Section):
    """What a track's cost depends on: tokens a second, the channels, seconds of a step at reference
    speed."""

    frame_rate: int = Field(ge=1, le=1000)
    channels: int = Field(ge=1, le=2)
    step_sec: float = Field(ge=0.0, le=3600.0)


class MusicGenBackend(FolderBackend["MusicGenPipeline", MusicGenFiles]):
    """A folder of MusicGen files, published or native, as a Backend."""

    def terms(self) -> Terms:
        files = self._running()
        config = read_config(files.made_of or files.folder)
        return Cost(
            frame_rate=config.audio_encoder.frame_rate,
            channels=config.decoder.audio_channels,
            step_sec=_step_sec(files),
        ).model_dump(mode="json")

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        if request.task is not None:
            request = self._with_task(request, request.task, terms)
        check_duration(self._info, request.duration_sec)
        return request.with_options(request.options_as(self._info.options, self._info.name))

    def _with_task(
        self, request: GenerationRequest, task: Task, terms: Terms | None
    ) -> GenerationRequest:
        """The request with nothing of its task left open.

        Raises InvalidParams, AudioPlaybackError, and ModelNotFound where the files cannot read its
        source.
        """
        from lofi_daemon.backends.musicgen.editing import resolved
        from lofi_daemon.backends.musicgen.encoder import raise_if_missing

        task = resolved(task, self._cost(terms).frame_rate)
        request = replace(request, task=task, duration_sec=task.duration_sec)
        if terms is None and self._reads_sound(request):
            raise_if_missing(self._running().folder)
        return request

    def _reads_sound(self, request: GenerationRequest) -> bool:
        if request.task is None:
            return False
        from lofi_daemon.backends.musicgen.editing import reads_sound

        files = self._running()
        return reads_sound(request.task, read_config(files.made_of or files.folder))

    def _cost(self, terms: Terms | None) -> Cost:
        return told_of(Cost, self.terms() if terms is None else terms)

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        cost = self._cost(terms)
        frames = frames_for(request.duration_sec, cost.frame_rate)
        known, reading = 0, 0.0
        if request.task is not None:
            from lofi_daemon.backends.musicgen.editing import frames_kept

            known = min(frames, frames_kept(request.task, cost.frame_rate))
            if terms is None and self._reads_sound(request):
                reading = READING_SEC_PER_FRAME * known * cost.channels
        steps = expected_cost(stretches(frames, cost.frame_rate, known), frames)
        work = {
            Phase.ENCODING: ENCODING_SEC + reading,
            Phase.DECODING_TOKENS: cost.step_sec * steps,
            Phase.DECODING: DECODING_SEC_PER_FRAME * decoded_frames(frames) * cost.channels,
        }
        return work if terms is not None else self._loading() | work

    def _names(self, files: FileSet) -> Iterable[str]:
        return needed_files(read_manifest(files.folder))

    def _names_to_make(self, files: FileSet) -> Iterable[str]:
        return PUBLISHED_FILES

    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        return needs(folder, request.duration_sec, reads_sound=self._reads_sound(request))

    def _loading_sec(self, files: FileSet) -> float:
        return LOADING_STEPS * _step_sec(files)

    def _making_sec(self, files: FileSet) -> float:
        folder = self._files.needed_folder(files)
        return CONVERTING_SEC * read_config(folder).decoder.weights_per_step

    def _open(
        self, files: FileSet, *, keep: bool, cancel: CancelToken, on_progress: ProgressCallback
    ) -> MusicGenPipeline:
        from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
        from lofi_daemon.onnx.session import SessionSettings

        return MusicGenPipeline(
            files.folder,
            SessionSettings(device=self._files.device, threads=self._files.threads),
            keep_loaded=keep,
            cancel=cancel,
            on_progress=on_progress,
        )


def _step_sec(files: FileSet) -> float:
    """What a step takes: it reads every weight once."""
    weights = read_config(files.made_of or files.folder).decoder.weights_per_step
    return weights * BYTES_PER_WEIGHT[files.precision] / BYTES_PER_SECOND


def musicgen_backend(settings: Settings) -> MusicGenBackend:
    """MusicGen of any size, from the configured folder."""
    files = MusicGenFiles.configured(settings)
    return MusicGenBackend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=32000,
            min_duration_sec=5.0,
            max_duration_sec=120.0,
            tasks=TASKS,
            files=files,
        ),
        files,
    )
