"""A backend that plays one note, in as much time as a test wants it to take."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
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
from lofi_daemon.backends.tasks import TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidParams, ModelInferenceFailed
from lofi_daemon.sound.clip import AudioClip, Samples, join_to_length
from lofi_daemon.sound.stream import Listener, SoundFacts, overheard
from lofi_daemon.text import say

TASKS = (TaskOffer("variation", strength=True), TaskOffer("extend"), TaskOffer("repaint"))


@dataclass
class ToneBackend:
    """Seconds of each phase; those of DIFFUSING are for one step.

    The tone is decoded in that many `pieces`, one of which may fail.
    `deaf` phases do not notice that they are cancelled. A `busy` backend multiplies matrices on
    all cores instead of sleeping. `first_question_sec` is what resolving takes once, as where
    libraries are loaded for it; every question is told on standard error. A `stuck` one lies on a
    disk that does not answer. A prompt that begins with "fail" raises a LofiError, with "defect"
    something unforeseen, with "nan" a clip that is not a number.
    """

    type: str = "demo"
    seconds: Mapping[Phase, float] = field(default_factory=dict)
    deaf: frozenset[Phase] = frozenset()
    busy: bool = False
    available: Availability = field(default_factory=lambda: Availability(True, "tone-1"))
    max_duration_sec: float = 240.0
    full_model: bool = False
    first_question_sec: float = 0.0
    stuck: bool = False
    pieces: int = 1
    fails_at_piece: int | None = None
    loaded: bool = False
    offers: tuple[TaskOffer, ...] = TASKS

    @property
    def info(self) -> BackendInfo:
        return BackendInfo(
            self.type,
            f"{self.type} tone",
            48000,
            5.0,
            self.max_duration_sec,
            DiffusionOptions,
            self.full_model,
            tasks=self.offers,
        )

    def availability(self) -> Availability:
        if self.stuck:
            print(f"{self.type} waits for ever", file=sys.stderr, flush=True)
            os.read(os.pipe()[0], 1)
        return self.available

    def terms(self) -> Terms:
        return {}

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        say(f"{self.type} is asked about {request.prompt!r}", file=sys.stderr)
        wait, self.first_question_sec = self.first_question_sec, 0.0
        time.sleep(wait)
        options = request.options_as(DiffusionOptions)
        if options.erg:
            raise InvalidParams("erg: this model cannot do it.")
        defaults = {
            "inference_steps": 10,
            "scheduler": "euler",
            "guidance_scale": 15.0,
            "cfg_type": "apg",
            "erg": False,
        }
        return replace(request, options=DiffusionOptions(**{**defaults, **options.given}))

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        work = {phase: self.seconds.get(phase, 0.0) for phase in Phase}
        work[Phase.DIFFUSING] *= request.options.expected_steps
        if self.loaded:
            work[Phase.LOADING] = 0.0
        return {phase: max(seconds, 1e-4) for phase, seconds in work.items() if seconds > 0.0}

    @property
    def residency(self) -> Residency | None:
        return Residency.KEPT if self.loaded else None

    def prepare(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        """There are no files."""

    def needs(self, request: GenerationRequest) -> Mapping[Phase, Need]:
        return {Phase.DIFFUSING: Need(0, 0)}

    def load(
        self,
        cancel: CancelToken,
        on_progress: ProgressCallback,
        residency: Residency = Residency.KEPT,
    ) -> None:
        if not self.loaded:
            on_progress(PhaseProgress(Phase.LOADING, 0, 1, 0.0))
            self._take(Phase.LOADING, cancel)
            self.loaded = True

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip:
        steps = request.options.expected_steps or 1
        on_progress(PhaseProgress(Phase.ENCODING, 0, 1, 0.0))
        self._take(Phase.ENCODING, cancel)
        if request.prompt.startswith("fail"):
            raise ModelInferenceFailed("The model made NaN at step 3.")
        if request.prompt.startswith("defect"):
            raise ZeroDivisionError("a defect")
        for step in range(steps):
            on_progress(PhaseProgress(Phase.DIFFUSING, step, steps, step / steps))
            self._take(Phase.DIFFUSING, cancel)
            cancel.raise_if_cancelled()
        on_progress(PhaseProgress(Phase.DIFFUSING, steps, steps, 1.0))
        on_progress(PhaseProgress(Phase.DECODING, 0, 1, 0.0))
        frames = round(request.duration_sec * 48000)
        pitch = 220.0 + request.seed % 220
        tone = 0.3 * np.sin(2 * np.pi * pitch / 48000 * np.arange(frames))
        if request.prompt.startswith("nan"):
            tone[frames // 2] = np.nan
        samples = np.stack([tone, tone]).astype(np.float32)
        facts = SoundFacts(48000, 2, frames, pieces=(frames // self.pieces,) * self.pieces)
        decoded = overheard(self._decoded(samples, on_progress, cancel), facts, listener)
        return AudioClip(join_to_length(decoded, 2, frames), 48000)

    def _decoded(
        self, samples: Samples, on_progress: ProgressCallback, cancel: CancelToken
    ) -> Iterator[Samples]:
        for index, piece in enumerate(np.array_split(samples, self.pieces, axis=1)):
            self._take(Phase.DECODING, cancel, 1.0 / self.pieces)
            if index == self.fails_at_piece:
                raise ModelInferenceFailed("The decoder made NaN.")
            done = index + 1
            on_progress(PhaseProgress(Phase.DECODING, done, self.pieces, done / self.pieces))
            yield piece

    def unload(self) -> None:
        self.loaded = False

    def _take(self, phase: Phase, cancel: CancelToken, share: float = 1.0) -> None:
        end = time.monotonic() + self.seconds.get(phase, 0.0) * share
        while (left := end - time.monotonic()) > 0:
            if phase not in self.deaf:
                cancel.raise_if_cancelled()
            if self.busy:
                multiply_on_all_cores(min(left, 0.05))
            else:
                time.sleep(min(left, 0.005))


def multiply_on_all_cores(seconds: float) -> None:
    """As onnxruntime does: threads of this thread's making, outside the interpreter's lock."""

    def multiply() -> None:
        matrix = np.full((512, 512), 0.5, np.float32)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            matrix @ matrix

    threads = [threading.Thread(target=multiply) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
