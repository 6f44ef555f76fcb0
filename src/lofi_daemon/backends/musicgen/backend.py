"""MusicGen behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.checks import (
    check_duration,
    check_files,
    check_memory,
    files_error,
    looked_at,
    memory_remedy,
)
from lofi_daemon.backends.musicgen.bundle import (
    needed_files,
    read_config,
    read_manifest,
)
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.files import MusicGenFiles
from lofi_daemon.backends.musicgen.forms import Form, is_made
from lofi_daemon.backends.protocol import (
    Availability,
    BackendInfo,
    GenerationRequest,
    Phase,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelNotFound
from lofi_daemon.memory import available_memory

if TYPE_CHECKING:
    from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
    from lofi_daemon.config import Settings
    from lofi_daemon.sound.clip import AudioClip

# Seconds at reference speed: a step reads its weights from memory; loading costs as much as some
# steps; making the native form quantises and writes every weight.
BYTES_PER_WEIGHT = {"fp32": 4.0, "int8": 1.1, "int4": 0.6}
BYTES_PER_SECOND = 12e9
ENCODING_SEC = 0.2
LOADING_STEPS = 40.0
CONVERTING_SEC = 70e-9
DECODING_SEC_PER_FRAME = 0.006
# Caches of a window, and what EnCodec needs for one of its own.
WORKING_BYTES = 500_000_000


class MusicGenBackend:
    """A folder of MusicGen files, published or native, as a Backend."""

    def __init__(
        self,
        info: BackendInfo,
        files: MusicGenFiles,
    ) -> None:
        self._info = info
        self._files = files
        self._pipeline: MusicGenPipeline | None = None

    @property
    def info(self) -> BackendInfo:
        return self._info

    def _repair(self, folder: Path) -> str:
        chosen = self._files.choose()
        at_work = chosen is not None and chosen.folder == folder
        return self._files.repair(chosen if at_work else None)

    def availability(self) -> Availability:
        return looked_at(self._files.folder, self._look)

    def _look(self) -> Availability:
        form = self._form()
        if form is None:
            return Availability(installed=False)
        folder = form.installed
        error = files_error(folder, needed_files(read_manifest(folder)), self._repair(folder))
        if error is not None:
            return Availability(installed=True, error=error)
        device = None if self._pipeline is None else self._pipeline.device
        return Availability(
            installed=True,
            model_version=form.model_version,
            device=device,
            memory_bytes=_memory_bytes(form, folder),
        )

    def _form(self) -> Form | None:
        """What runs or would run; None where there is nothing. Raises ModelLoadFailed."""
        if self._pipeline is not None:
            return self._pipeline.form
        return None if self._files.choose() is None else self._files.form()

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        check_duration(self._info, request.duration_sec)
        return replace(request, options=request.options_as(self._info.options, self._info.name))

    def workload(self, request: GenerationRequest) -> Mapping[Phase, float]:
        form = self._form()
        if form is None:
            raise ModelNotFound(f"{self._info.name} is not in {self._files.folder}.")
        config = read_config(form.installed)
        precision = form.manifest.precision
        step = config.decoder.weights_per_step * BYTES_PER_WEIGHT[precision] / BYTES_PER_SECOND
        rate = config.audio_encoder.frame_rate
        frames = frames_for(request.duration_sec, rate)
        steps = expected_cost(stretches(frames, rate), frames)
        loading: dict[Phase, float] = {}
        if self._pipeline is None:
            loading[Phase.LOADING] = LOADING_STEPS * step
            if form.made_of is not None and not is_made(form):
                loading[Phase.LOADING] += CONVERTING_SEC * config.decoder.weights_per_step
        return loading | {
            Phase.ENCODING: ENCODING_SEC,
            Phase.DECODING_TOKENS: step * steps,
            Phase.DECODING: DECODING_SEC_PER_FRAME * frames * config.decoder.audio_channels,
        }

    def load(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        if self._pipeline is not None:
            return
        form = self._form()
        folder = self._files.folder if form is None else form.installed
        status = self.availability()
        check_files(self._info, status, folder, self._repair(folder), cancel)
        available = available_memory()
        if available is not None and status.memory_bytes is not None:
            check_memory(
                f"MusicGen in {folder}",
                status.memory_bytes,
                available,
                memory_remedy(self._info.type),
            )
        from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
        from lofi_daemon.onnx.session import SessionSettings

        self._pipeline = MusicGenPipeline(
            self._files.folder,
            SessionSettings(device=self._files.device, threads=self._files.threads),
            variant=self._files.configuration.variant,
            cancel=cancel,
            on_progress=on_progress,
        )

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        assert self._pipeline is not None, "load comes before generate"
        return self._pipeline.generate(request, on_progress=on_progress, cancel=cancel)

    def unload(self) -> None:
        self._pipeline = None


def _memory_bytes(form: Form, folder: Path) -> int:
    """The decoder once (twice in the published form), the other graphs of `folder`, and room."""
    weights = read_config(folder).decoder.weights_per_step
    decoder = weights * BYTES_PER_WEIGHT[form.manifest.precision]
    copies = 1 if form.manifest.form == "native" else 2
    others = sum(
        path.stat().st_size
        for name in ("text_encoder", "encodec_decode", "cross_attention")
        for path in folder.glob(f"{name}*")
    )
    return round(copies * decoder) + others + WORKING_BYTES


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
            files=files,
        ),
        files,
    )
