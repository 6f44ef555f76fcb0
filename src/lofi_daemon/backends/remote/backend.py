"""A backend whose model is on another machine: asked here, computed there, and brought back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lofi_daemon.backends.protocol import (
    Availability,
    Backend,
    BackendInfo,
    GenerationRequest,
    Need,
    Phase,
    PhaseProgress,
    ProgressCallback,
    Residency,
    Terms,
    parse_options,
)
from lofi_daemon.backends.remote.box import Box
from lofi_daemon.backends.remote.peer import Json, Lost, Peer
from lofi_daemon.backends.remote.told import (
    ToldBackend,
    ToldFailure,
    ToldProgress,
    ToldTicket,
    ToldTrack,
    error_of,
    nonsense,
    told,
)
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.errors import LofiError, MethodNotFound, ModelLoadFailed
from lofi_daemon.text import shown

if TYPE_CHECKING:
    from lofi_daemon.sound.clip import AudioClip
    from lofi_daemon.sound.stream import Listener

log = logging.getLogger(__name__)

# Seconds at first; they are learnt for each machine.
CONNECTING_SEC = 3.0
FETCHING_SEC_PER_TRACK_SEC = 0.03
WORKING_BYTES = 64_000_000
# The file comes with as many bits a sample as it is to be written with here.
WANTED: Mapping[TrackFormat, TrackFormat] = {
    "wav16": "flac",
    "flac": "flac",
    "wav24": "flac24",
    "flac24": "flac24",
}
_LONGEST_SEC = 1e6


class RemoteBackend:
    """The inner backend knows what requests mean; the box has the model."""

    def __init__(self, inner: Backend, box: Box, track_format: TrackFormat) -> None:
        self._inner = inner
        self._box = box
        self._wanted = WANTED[track_format]
        # What a track was made of lies here, and the model there: a variation needs none of it.
        tasks = tuple(offer for offer in inner.info.tasks if offer.name == "variation")
        self._info = replace(inner.info, files=None, place=box.name, tasks=tasks)

    @property
    def info(self) -> BackendInfo:
        return self._info

    def availability(self) -> Availability:
        name, there = self._box.name, self._box.backend(self._info.type)
        if not self._box.is_known:
            return Availability(installed=False, error=self._box.problem, away=True)
        if there is None or there.status in ("not_installed", "downloading"):
            return Availability(installed=False)
        if there.status == "error" or there.terms is None:
            problem = shown(there.error or "it cannot be used")
            return Availability(installed=True, error=f"{name}: {problem}")
        if there.sample_rate != self._info.sample_rate:
            problem = f"{name}: {self._info.name} there makes {there.sample_rate} Hz"
            return Availability(installed=True, error=f"{problem}. Update lofi-daemon there.")
        return Availability(
            installed=True,
            model_version=there.model_version,
            device=there.device,
            memory_bytes=WORKING_BYTES,
        )

    def terms(self) -> Terms:
        return self._there().terms or {}

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        resolved = self._inner.resolve(request, self.terms() if terms is None else terms)
        try:
            parse_options(self._info.options, resolved.options.given, self._info.name)
        except LofiError as error:  # what was filled in, not what was asked
            raise nonsense(self._box.name, error.message) from error
        return resolved

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        work = {
            **self._inner.workload(request, self.terms() if terms is None else terms),
            Phase.FETCHING: FETCHING_SEC_PER_TRACK_SEC * request.duration_sec,
        }
        if not self._box.is_connected:
            work[Phase.LOADING] = CONNECTING_SEC
        return {phase: min(max(seconds, 1e-4), _LONGEST_SEC) for phase, seconds in work.items()}

    @property
    def residency(self) -> Residency | None:
        """Nothing of it is in memory here."""
        return None

    def prepare(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        """Its files are prepared there."""

    def needs(self, request: GenerationRequest) -> Mapping[Phase, Need]:
        return {Phase.FETCHING: Need(0, WORKING_BYTES)}

    def load(
        self,
        cancel: CancelToken,
        on_progress: ProgressCallback,
        residency: Residency = Residency.KEPT,
    ) -> None:
        """Reach the box; its daemon loads the model when it is asked for the track."""
        if not self._box.is_connected:
            on_progress(PhaseProgress(Phase.LOADING, 0, 1, 0.0))
        self._connected(cancel)

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip:
        """As on the box; a connection that breaks is made again once, and the request repeated.

        Nothing is heard before the track is whole. Raises RemoteUnavailable, and whatever the box
        raises.
        """
        try:
            return self._made(self._connected(cancel), request, on_progress, cancel)
        except Lost as lost:
            if lost.is_over:
                raise lost.error from None
            log.warning("%s It is tried once more.", lost.error.message)
        try:
            return self._made(self._connected(cancel), request, on_progress, cancel)
        except Lost as lost:
            raise lost.error from None

    def unload(self) -> None:
        self._box.disconnect()

    def _there(self) -> ToldBackend:
        there = self._box.backend(self._info.type)
        if there is None or there.terms is None:
            raise ModelLoadFailed(f"{self._info.name} is not installed on {self._box.name}.")
        return there

    def _connected(self, cancel: CancelToken) -> Peer:
        try:
            return self._box.connect(cancel)
        except Lost as lost:
            raise lost.error from None

    def _made(
        self,
        peer: Peer,
        request: GenerationRequest,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> AudioClip:
        # numpy and its kin come in with the first track that arrives.
        from lofi_daemon.backends.remote.track import fetch

        name = self._box.name
        asked = {
            "prompt": request.prompt,
            "duration_sec": request.duration_sec,
            "seed": request.seed,
            "backend": self._info.type,
            "format": self._wanted,
            **request.options.given,
        }
        try:
            ticket = told(ToldTicket, name, _asked(peer, asked, cancel))
            self._follow(peer, ticket.track_id, request, on_progress, cancel)

            def on_share(share: float) -> None:
                on_progress(PhaseProgress(Phase.FETCHING, round(100 * share), 100, share))

            on_share(0.0)
            return fetch(
                peer, ticket.track_id, self._info, request, on_share=on_share, cancel=cancel
            )
        except MethodNotFound as error:
            raise ModelLoadFailed(
                f"lofi-daemon on {name} is too old to compute for others.",
                hint=f"Install the same version on {name} and here.",
            ) from error

    def _follow(
        self,
        peer: Peer,
        track_id: str,
        request: GenerationRequest,
        on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> None:
        """Until the box has the track. Raises Lost, Cancelled, and the box's own error."""
        progress = _Progress(on_progress)
        try:
            while True:
                message = peer.receive(cancel)
                params = message.get("params")
                if not isinstance(params, dict) or params.get("track_id") != track_id:
                    continue
                if message.get("method") == "generation_progress":
                    progress.take(told(ToldProgress, self._box.name, params))
                elif self._is_whole(message, params, request):
                    return
        except Cancelled:
            peer.tell("cancel", {"track_id": track_id})
            raise

    def _is_whole(self, message: Json, params: Json, request: GenerationRequest) -> bool:
        """Whether this tells that the track is there. Raises what else its end may be."""
        name, method = self._box.name, message.get("method")
        if method == "generation_complete":
            track = told(ToldTrack, name, params)
            expected = self._there().model_version
            if (track.backend, track.seed) != (self._info.type, request.seed):
                raise nonsense(name, "it made another track")
            if track.model_version != expected:
                raise ModelLoadFailed(
                    f"{name} now has version {track.model_version} of {self._info.name}, not "
                    f"{expected}.",
                    hint="Ask for it again: the new files make it.",
                )
            return True
        if method == "generation_error":
            failure = told(ToldFailure, name, params)
            raise error_of(name, failure.code, failure.message, failure.hint)
        if method == "generation_cancelled":
            raise nonsense(name, "it stopped without being asked")
        return False


def _asked(peer: Peer, parameters: Json, cancel: CancelToken) -> Json:
    """The answer to `generate`; before it is there, only the connection's end stops the work."""
    try:
        return peer.call("generate", parameters, cancel)
    except Cancelled:
        peer.kill()
        raise


class _Progress:
    """The box's progress as that of a job here; its writing is the beginning of the fetching."""

    def __init__(self, on_progress: ProgressCallback) -> None:
        self._on_progress = on_progress
        self._phase: Phase | None = None
        self._eta_sec: dict[Phase, float] = {}  # when each phase began
        self._step = -1

    def take(self, progress: ToldProgress) -> None:
        try:
            phase = Phase(progress.phase)
        except ValueError:  # of a later version: the one before goes on
            return
        if phase in (Phase.WRITING, Phase.FETCHING):
            phase = Phase.FETCHING
        if phase is not self._phase:
            self._phase, self._step = phase, -1
            self._eta_sec.setdefault(phase, progress.eta_sec)
        done, total = 0, 1
        if phase in (Phase.DIFFUSING, Phase.DECODING_TOKENS):
            total = max(1, progress.total_steps)
            done = min(progress.current_step, total)
            if done == self._step:  # every step is told once
                return
            self._step = done
            fraction = done / total
        elif phase is Phase.DECODING and self._eta_sec[phase] > 0.0:
            fraction = min(1.0, max(0.0, 1.0 - progress.eta_sec / self._eta_sec[phase]))
        else:
            fraction = 0.0
        self._on_progress(PhaseProgress(phase, done, total, fraction))
