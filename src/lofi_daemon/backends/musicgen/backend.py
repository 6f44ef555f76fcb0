"""MusicGen behind the backend protocol. Imports the pipeline only when it loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.musicgen.bundle import (
    NATIVE_FILES,
    PUBLISHED_FILES,
    damaged_files,
    missing_files,
    read_config,
    read_manifest,
)
from lofi_daemon.backends.musicgen.continuation import expected_cost, frames_for, stretches
from lofi_daemon.backends.musicgen.forms import chosen_form, is_made
from lofi_daemon.backends.protocol import (
    Availability,
    BackendInfo,
    GenerationRequest,
    Phase,
    ProgressCallback,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidDuration, InvalidParams, ModelLoadFailed, ModelNotFound
from lofi_daemon.models import store

if TYPE_CHECKING:
    from lofi_daemon.audio import AudioClip
    from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
    from lofi_daemon.config import Settings

OPTIONS = ("inference_steps", "scheduler", "guidance_scale", "cfg_type", "erg")

# Seconds at reference speed: a step reads its weights from memory; loading costs as much as some
# steps; making the native form quantises and writes every weight.
BYTES_PER_WEIGHT = {"fp32": 4.0, "int8": 1.1, "int4": 0.6}
BYTES_PER_SECOND = 12e9
ENCODING_SEC = 0.2
LOADING_STEPS = 40.0
CONVERTING_SEC = 70e-9
DECODING_SEC_PER_FRAME = 0.006


class MusicGenBackend:
    """A folder of MusicGen files, published or native, as a Backend."""

    def __init__(
        self,
        info: BackendInfo,
        folder: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        repair: str,
    ) -> None:
        self._info = info
        self._folder = folder
        self._device = device
        self._threads = threads
        self._repair = repair
        self._pipeline: MusicGenPipeline | None = None

    @property
    def info(self) -> BackendInfo:
        return self._info

    def availability(self) -> Availability:
        folder = self._folder
        if not any((folder / name).is_file() for name in {*PUBLISHED_FILES, *NATIVE_FILES}):
            return Availability(installed=False)
        try:
            manifest = read_manifest(folder)
            problems = store.inspect(folder)
            known = {problem.name for problem in problems}
            problems += [
                store.Problem(name, "is missing")
                for name in missing_files(folder, manifest)
                if name not in known
            ]
            if not problems:
                damaged = damaged_files(folder, manifest)
                problems += [store.Problem(name, "is incomplete") for name in damaged]
            if problems:
                error = store.describe(folder, problems, self._repair)
                return Availability(installed=True, error=error)
            pipeline = self._pipeline
            form = chosen_form(folder, self._device) if pipeline is None else pipeline.form
        except ModelLoadFailed as error:
            return Availability(installed=True, error=f"{error.message} {error.hint}")
        return Availability(
            installed=True,
            model_version=form.model_version,
            device=None if pipeline is None else pipeline.device,
        )

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        info = self._info
        if not info.min_duration_sec <= request.duration_sec <= info.max_duration_sec:
            raise InvalidDuration(
                f"{request.duration_sec:g} s is outside what {info.name} can make: "
                f"{info.min_duration_sec:g} to {info.max_duration_sec:g} s.",
                min=info.min_duration_sec,
                max=info.max_duration_sec,
            )
        unknown = [name for name in OPTIONS if getattr(request, name) is not None]
        if unknown:
            raise InvalidParams(
                f"{info.name} has no {', '.join(unknown)}.",
                hint="Leave these parameters out, or use the ace_step or demo backend.",
                parameters=unknown,
            )
        return request

    def workload(self, request: GenerationRequest) -> Mapping[Phase, float]:
        config = read_config(self._folder)
        form = chosen_form(self._folder, self._device)
        precision = form.manifest.precision
        step = config.decoder.weights_per_step * BYTES_PER_WEIGHT[precision] / BYTES_PER_SECOND
        rate = config.audio_encoder.frame_rate
        frames = frames_for(request.duration_sec, rate)
        steps = expected_cost(stretches(frames, rate), frames)
        loading: dict[Phase, float] = {}
        if self._pipeline is None:
            loading[Phase.LOADING] = LOADING_STEPS * step
            if form.folder != self._folder and not is_made(form):
                loading[Phase.LOADING] += CONVERTING_SEC * config.decoder.weights_per_step
        return loading | {
            Phase.ENCODING: ENCODING_SEC,
            Phase.DECODING_TOKENS: step * steps,
            Phase.DECODING: DECODING_SEC_PER_FRAME * frames * config.decoder.audio_channels,
        }

    def load(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        if self._pipeline is not None:
            return
        status = self.availability()
        if not status.installed:
            raise ModelNotFound(f"{self._info.name} is not in {self._folder}.", hint=self._repair)
        if status.error is not None:
            raise ModelLoadFailed(status.error, hint=self._repair)
        store.raise_if_damaged(self._folder, self._repair, cancel)
        from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
        from lofi_daemon.onnx.session import SessionSettings

        self._pipeline = MusicGenPipeline(
            self._folder,
            SessionSettings(device=self._device, threads=self._threads),
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


def musicgen_backend(settings: Settings) -> MusicGenBackend:
    """MusicGen of any size, from the configured folder."""
    return MusicGenBackend(
        BackendInfo(
            type="musicgen",
            name="MusicGen",
            sample_rate=32000,
            min_duration_sec=5.0,
            max_duration_sec=120.0,
        ),
        settings.musicgen_folder,
        device=settings.device,
        threads=settings.threads,
        repair=store.repair_command("musicgen"),
    )
