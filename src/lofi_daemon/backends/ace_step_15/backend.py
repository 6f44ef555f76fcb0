"""ACE-Step 1.5 behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.ace_step_15.bundle import FILES, Manifest, read_manifest
from lofi_daemon.backends.ace_step_15.files import AceStep15Files
from lofi_daemon.backends.ace_step_15.needs import needs
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.kit.lifecycle import FolderBackend
from lofi_daemon.backends.kit.manifest import told_of
from lofi_daemon.backends.protocol import (
    BackendInfo,
    GenerationRequest,
    Need,
    Phase,
    ProgressCallback,
    Terms,
    Understood,
)
from lofi_daemon.backends.tasks import Task, TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelNotFound
from lofi_daemon.models.file_set import FileSet

if TYPE_CHECKING:
    from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
    from lofi_daemon.config import Settings

TASKS = (
    TaskOffer("variation", strength=True),
    TaskOffer("extend", files=True, strength=True),
    TaskOffer("repaint", files=True, strength=True),
    TaskOffer("from_audio", files=True, strength=True),
    TaskOffer("flow", files=True, strength=True),
)
USUAL_STRENGTH = 0.5
# Making a set takes this long against loading one, and comes before it.
MAKING_SEC = 90.0


class AceStep15Backend(FolderBackend["AceStep15Pipeline", AceStep15Files]):
    """One model folder: a checkpoint as it was downloaded, the sets made of it, or both."""

    def terms(self) -> Terms:
        return self._manifest().model_dump(mode="json", exclude={"files", "source"})

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        from lofi_daemon.backends.ace_step_15.requests import resolve

        manifest = self._manifest(terms)
        options = request.options_as(AceStep15Options)
        if request.task is not None:
            options.raise_if_it_loops()
            request = self._with_task(request, request.task, manifest)
        elif options.loop:
            from lofi_daemon.backends.ace_step_15.loop import whole_sec

            check_duration(self._info, request.duration_sec)
            request = replace(request, duration_sec=whole_sec(request.duration_sec, manifest.audio))
        check_duration(self._info, request.duration_sec)
        return resolve(request, manifest)

    def _with_task(
        self, request: GenerationRequest, task: Task, manifest: Manifest
    ) -> GenerationRequest:
        """The request with nothing of its task left open.

        Raises ModelNotFound where the files cannot read its source, AudioPlaybackError.
        """
        from lofi_daemon.backends.ace_step_15.editing import ramp_sec
        from lofi_daemon.backends.ace_step_15.source import graphs_needed
        from lofi_daemon.backends.kit.editing import joined
        from lofi_daemon.backends.kit.finish import END_FADE_SEC

        audio = manifest.audio
        if task.strength is None:
            task = replace(task, strength=USUAL_STRENGTH)
        self._raise_if_missing(graphs_needed(task, audio.channels))
        ramp = ramp_sec(task)
        end = task.source.duration_sec - END_FADE_SEC - ramp
        task = joined(task, end, ramp, audio.sample_rate / audio.samples_per_frame)
        return replace(request, task=task, duration_sec=task.duration_sec)

    def _raise_if_missing(self, graphs: Iterable[str]) -> None:
        """What reads music is not in the sets that earlier versions made, nor in every checkpoint.

        A set that is not made yet is asked when it is there.
        """
        files = self._running()
        if not self._files.is_made(files):
            return
        missing = [each for each in graphs if not (files.folder / f"{each}.onnx").is_file()]
        if missing:
            raise ModelNotFound(
                f"{files.folder} lacks {' and '.join(f'{each}.onnx' for each in missing)}, which "
                "reads music: it makes music of words alone.",
                hint=self._files.how_to_read(files),
            )

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        from lofi_daemon.backends.ace_step_15.requests import expected_seconds, piece_of

        manifest = self._manifest(terms)
        piece = piece_of(request, manifest)
        work = expected_seconds(piece, manifest, reads_sound=_reads_sound(request, manifest))
        return work if terms is not None else self._loading() | work

    def _names(self, files: FileSet) -> Iterable[str]:
        return FILES

    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        reads = _reads_sound(request, read_manifest(folder))
        return needs(folder, request.made_sec, reads_sound=reads)

    def _loading_sec(self, files: FileSet) -> float:
        return self._files.manifest(files).relative_cost.loading

    def _making_sec(self, files: FileSet) -> float:
        return MAKING_SEC

    def _open(
        self, files: FileSet, *, keep: bool, cancel: CancelToken, on_progress: ProgressCallback
    ) -> AceStep15Pipeline:
        from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
        from lofi_daemon.onnx.session import SessionSettings

        return AceStep15Pipeline(
            files.folder,
            SessionSettings(device=self._files.device, threads=self._files.threads),
            keep_loaded=keep,
            cancel=cancel,
            on_progress=on_progress,
        )

    def _manifest(self, terms: Terms | None = None) -> Manifest:
        """Of the files that would run, or as another machine tells it."""
        if terms is not None:
            return told_of(Manifest, terms)
        return self._files.manifest(self._running())


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
            tasks=TASKS,
            understand=_understood,
            files=files,
        ),
        files,
    )


def _reads_sound(request: GenerationRequest, manifest: Manifest) -> bool:
    if request.task is None:
        return False
    from lofi_daemon.backends.ace_step_15.source import reads_sound

    return reads_sound(request.task, manifest.audio.channels)


def _understood(prompt: str) -> Understood | None:
    """None where the words name neither tempo nor key nor time signature."""
    from lofi_daemon.backends.ace_step_15.reading import described, read_facts

    facts = read_facts(prompt)
    text = described(facts)
    return Understood(text=text, tempo=facts.bpm, key=facts.key) if text else None
