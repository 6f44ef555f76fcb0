"""What goes over the wire: envelopes, parameters, results and notifications."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lofi_daemon.backends.protocol import Understood
from lofi_daemon.errors import InvalidRequest, LofiError
from lofi_daemon.parameters import Parameters

RequestId = str | int | float | None


class Message(BaseModel):
    """Base of what the daemon sends."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Explained(Message):
    """What is told although something is wrong: `error` says what, and is left out otherwise."""

    error: str | None = None

    @model_serializer(mode="wrap")
    def _without_no_error(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        if fields["error"] is None:
            del fields["error"]
        return fields


# Envelopes


class Request(Message):
    """One call. `answered` is False for a notification: it came without an id."""

    method: str
    params: dict[str, Any]
    id: RequestId
    answered: bool


def read_request(value: object) -> Request:
    """Check the envelope of a parsed JSON value. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest("A request is a JSON object.")
    envelope: dict[str, Any] = value
    if envelope.get("jsonrpc") != "2.0":
        raise InvalidRequest('The member "jsonrpc" must be "2.0".')
    method = envelope.get("method")
    if not isinstance(method, str):
        raise InvalidRequest('The member "method" must be a string.')
    if "id" in envelope and not _is_id(envelope["id"]):
        raise InvalidRequest('The member "id" must be a string, a number or null.')
    params = envelope.get("params", {})
    if params == []:  # how some encoders write an empty table
        params = {}
    if not isinstance(params, dict):
        raise InvalidRequest('The member "params" must be an object: parameters go by name.')
    return Request(method=method, params=params, id=envelope.get("id"), answered="id" in envelope)


def id_of(value: object) -> RequestId:
    """The id to answer an invalid request with: its own where it has a proper one, else null."""
    if isinstance(value, dict):
        identity: object = value.get("id")
        if _is_id(identity):
            return identity  # pyright: ignore[reportReturnType]
    return None


def response(request_id: RequestId, result: BaseModel) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result.model_dump()}


def error_response(request_id: RequestId, error: LofiError) -> dict[str, Any]:
    """An error as JSON-RPC has it; its data starts with our code and hint."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {
            "code": error.code,
            "message": error.message,
            "data": {"code": error.name, "hint": error.hint, **error.data},
        },
    }


def notification(method: str, params: BaseModel) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": method,
        "params": params.model_dump(exclude_unset=True),
    }


def encode(message: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> bytes:
    """One line. ASCII only: a lone surrogate that a client sent cannot break the encoding."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


# Parameters


class NoParameters(Parameters):
    pass


class CancelParameters(Parameters):
    """One of the two: a track that is being made, or a backend that is being downloaded."""

    track_id: str | None = None
    backend: str | None = None

    @model_validator(mode="after")
    def _one(self) -> CancelParameters:
        if (self.track_id is None) == (self.backend is None):
            raise ValueError("give either track_id or backend")
        return self


class BackendParameters(Parameters):
    backend: str


class TracksListParameters(Parameters):
    query: str = Field(default="", description="A part of the prompt; case does not matter.")
    limit: int | None = Field(default=None, ge=0)
    offset: int = Field(default=0, ge=0)


class TrackIdsParameters(Parameters):
    track_ids: list[str] = Field(max_length=10_000)


class TracksKeepParameters(TrackIdsParameters):
    kept: bool


# Results


class PingResult(Message):
    status: Literal["ok"] = "ok"
    version: str
    protocol: int


class UnderstoodPrompt(Message):
    """What a backend read from a prompt; `text` says it all in one line."""

    text: str
    tempo: float | None
    key: str | None
    plays: list[str]
    moods: list[str]
    only: list[str] | None
    left_out: list[str]
    stand_ins: dict[str, str]
    not_known: list[str]

    @staticmethod
    def of(understood: Understood | None) -> UnderstoodPrompt | None:
        return None if understood is None else UnderstoodPrompt(**asdict(understood))


class GenerateResult(Message):
    track_id: str
    status: Literal["queued", "generating", "cached"]
    position: int
    seed: int
    backend: str
    understood: UnderstoodPrompt | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_none(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        if fields["understood"] is None:
            del fields["understood"]
        return fields


class CancelResult(Message):
    cancelled: Literal[True] = True
    was_generating: bool


class BackendOption(Message):
    """What a backend takes beside prompt, length and seed.

    `default` is what a request gets that leaves it out; null where it is off, or where the model
    is not installed.
    """

    name: str
    type: Literal["integer", "number", "boolean", "string"]
    default: bool | int | float | str | None
    choices: list[str] | None
    minimum: float | None
    maximum: float | None
    help: str


class BackendStatus(Message):
    type: str
    name: str
    status: Literal["not_installed", "downloading", "loading", "ready", "error"]
    min_duration_sec: float
    max_duration_sec: float
    sample_rate: int
    model_version: str | None
    options: list[BackendOption]
    error: str | None = None
    device: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_none(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        for name in ("error", "device"):
            if fields[name] is None:
                del fields[name]
        return fields


class BackendsResult(Message):
    backends: list[BackendStatus]
    default_backend: str


class DownloadResult(Message):
    started: bool
    already_installed: bool


class ShutdownResult(Message):
    status: Literal["shutting_down"] = "shutting_down"


class TrackResult(Message):
    """A track as `tracks_list` tells of it: the sidecar's fields and the path of the audio."""

    model_config = ConfigDict(extra="allow")

    track_id: str
    path: str


class TracksListResult(Message):
    tracks: list[TrackResult]
    total: int


class TracksKeepResult(Message):
    track_ids: list[str]
    kept: bool


class TracksDeleteResult(Message):
    deleted: list[str]
    bytes_freed: int


class QueueClearResult(Message):
    cancelled: list[str]


class PlayerState(Message):
    state: Literal["playing", "paused", "stopped"] = "stopped"
    track_id: str | None = None
    prompt: str | None = None
    position_sec: float = 0.0
    duration_sec: float = 0.0
    volume: float = 0.5
    crossfade_sec: float = 2.0
    loop: Literal["off", "track", "playlist"] = "off"
    device: str | None = None
    muted: bool = False
    stops_in_sec: float | None = None


class CurrentJob(Message):
    track_id: str
    prompt: str
    percent: int
    phase: str
    eta_sec: float


class WaitingJob(Message):
    track_id: str
    prompt: str
    position: int


class QueueState(Message):
    current: CurrentJob | None
    waiting: list[WaitingJob]


class CacheState(Explained):
    tracks: int
    bytes: int
    max_bytes: int


class StatusResult(Message):
    player: PlayerState
    radio: dict[str, Any] | None
    queue: QueueState
    playlist: list[str]
    cache: CacheState


# Notifications


class GenerationProgress(Message):
    track_id: str
    prompt: str
    percent: int
    current_step: int
    total_steps: int
    eta_sec: float
    phase: str
    tokens_generated: int | None = None
    tokens_estimated: int | None = None


class GenerationComplete(Message):
    track_id: str
    path: str
    duration_sec: float
    sample_rate: int
    prompt: str
    seed: int
    generation_time_sec: float
    backend: str
    model_version: str | None
    understood: UnderstoodPrompt | None = None
    warning: str | None = None


class GenerationError(Message):
    track_id: str
    code: str
    message: str
    hint: str


class GenerationCancelled(Message):
    track_id: str
    at_step: int
    total_steps: int


class DownloadProgress(Message):
    backend: str
    component: str
    component_percent: int
    overall_percent: int
    bytes_downloaded: int
    bytes_total: int
    file_name: str
    files_completed: int
    files_total: int


class DownloadComplete(Message):
    backend: str


class DownloadError(Message):
    backend: str
    code: str
    message: str
    hint: str
