"""ACE-Step 1.5 behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.ace_step_15.bundle import FILES, Manifest
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
from lofi_daemon.backends.tasks import TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.models.file_set import FileSet

if TYPE_CHECKING:
    from lofi_daemon.backends.ace_step_15.pipeline import AceStep15Pipeline
    from lofi_daemon.config import Settings

# Making a set takes this long against loading one, and comes before it.
MAKING_SEC = 90.0


class AceStep15Backend(FolderBackend["AceStep15Pipeline", AceStep15Files]):
    """One model folder: a checkpoint as it was downloaded, the sets made of it, or both."""

    def terms(self) -> Terms:
        return self._manifest().model_dump(mode="json", exclude={"files", "source"})

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        from lofi_daemon.backends.ace_step_15.requests import resolve

        check_duration(self._info, request.duration_sec)
        return resolve(request, self._manifest(terms))

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        from lofi_daemon.backends.ace_step_15.requests import expected_seconds, piece_of

        manifest = self._manifest(terms)
        work = expected_seconds(piece_of(request, manifest), manifest)
        return work if terms is not None else self._loading() | work

    def _names(self, files: FileSet) -> Iterable[str]:
        return FILES

    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        return needs(folder, request.duration_sec)

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
            tasks=(TaskOffer("variation", strength=True),),
            understand=_understood,
            files=files,
        ),
        files,
    )


def _understood(prompt: str) -> Understood:
    from lofi_daemon.backends.ace_step_15.reading import described, read_facts

    facts = read_facts(prompt)
    return Understood(text=described(facts), tempo=facts.bpm, key=facts.key)
