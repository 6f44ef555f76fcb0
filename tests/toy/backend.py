"""The toy behind the protocol: its notes one after another, a second each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.checks import check_duration
from lofi_daemon.backends.kit.lifecycle import FolderBackend
from lofi_daemon.backends.protocol import (
    BackendInfo,
    GenerationRequest,
    Need,
    Phase,
    PhaseProgress,
    ProgressCallback,
    Terms,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.models.file_set import FileSet
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.stream import Listener
from tests.toy.files import NOTES, ToyFiles, read_notes
from tests.toy.options import ToyOptions

RATE = 48000


class ToyPipeline:
    device: str | None = "cpu"

    def __init__(self, files: FileSet) -> None:
        self._notes = read_notes(files)

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip:
        options = request.options_as(ToyOptions)
        on_progress(PhaseProgress(Phase.DECODING, 0, 1, 0.0))
        cancel.raise_if_cancelled()
        notes = sorted(self._notes, reverse=options.tune == "down")
        seconds = np.arange(round(request.duration_sec * RATE)) / RATE
        pitch = np.array(notes)[seconds.astype(int) % len(notes)]
        wobble = (options.wobble or 0.0) * np.sin(2 * np.pi * 5.0 * seconds)
        sound = (0.3 * np.sin(2 * np.pi * pitch * seconds + wobble)).astype(np.float32)
        return AudioClip(np.stack([sound, sound]), RATE)


class ToyBackend(FolderBackend[ToyPipeline, ToyFiles]):
    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        check_duration(self._info, request.duration_sec)
        options = request.options_as(ToyOptions, self._info.name)
        return replace(request, options=options.model_copy(update={"tune": options.tune or "up"}))

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        work = {Phase.DECODING: 0.1}
        return work if terms is not None else self._loading() | work

    def _names(self, files: FileSet) -> Iterable[str]:
        return (NOTES,)

    def _needs(self, folder: Path, request: GenerationRequest) -> Mapping[Phase, Need]:
        return {Phase.DECODING: Need(1000, 1000)}

    def _loading_sec(self, files: FileSet) -> float:
        return 0.01

    def _making_sec(self, files: FileSet) -> float:
        return 0.1

    def _open(
        self, files: FileSet, *, keep: bool, cancel: CancelToken, on_progress: ProgressCallback
    ) -> ToyPipeline:
        return ToyPipeline(files)


def toy_backend(settings: Settings) -> ToyBackend:
    files = ToyFiles.configured(settings)
    return ToyBackend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=RATE,
            min_duration_sec=5.0,
            max_duration_sec=20.0,
            options=ToyOptions,
            full_model=False,
            files=files,
        ),
        files,
    )
