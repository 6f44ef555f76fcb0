"""Every error a user can meet, drawn as a tree.

LofiError                        code    name
├── ParseError                   -32700  PARSE_ERROR
├── InvalidRequest               -32600  INVALID_REQUEST
├── MethodNotFound               -32601  METHOD_NOT_FOUND
├── InvalidParams                -32602  INVALID_PARAMS
├── InternalError                -32603  INTERNAL_ERROR
├── ModelError
│   ├── ModelNotFound            -32000  MODEL_NOT_FOUND
│   ├── ModelLoadFailed          -32001  MODEL_LOAD_FAILED
│   ├── ModelDownloadFailed      -32002  MODEL_DOWNLOAD_FAILED
│   └── ModelInferenceFailed     -32003  MODEL_INFERENCE_FAILED
├── RequestError
│   ├── QueueFull                -32004  QUEUE_FULL
│   ├── InvalidDuration          -32005  INVALID_DURATION
│   ├── InvalidPrompt            -32006  INVALID_PROMPT
│   ├── InvalidBackend           -32007  INVALID_BACKEND
│   ├── BackendNotInstalled      -32008  BACKEND_NOT_INSTALLED
│   ├── InvalidInferenceSteps    -32009  INVALID_INFERENCE_STEPS
│   ├── InvalidGuidanceScale     -32010  INVALID_GUIDANCE_SCALE
│   └── InvalidScheduler         -32011  INVALID_SCHEDULER
├── TrackError
│   ├── TrackNotFound            -32012  TRACK_NOT_FOUND
│   ├── TrackAlreadyComplete     -32013  TRACK_ALREADY_COMPLETE
│   └── CacheWriteFailed         -32014  CACHE_WRITE_FAILED
├── AudioDeviceError             -32015  AUDIO_DEVICE_ERROR
├── AudioPlaybackError           -32016  AUDIO_PLAYBACK_ERROR
├── RemoteUnavailable            -32017  REMOTE_UNAVAILABLE
├── ShuttingDown                 -32018  SHUTTING_DOWN
├── OutputFailed                 one line on stderr and exit status 1; never on the wire
└── ConfigurationError           one line on stderr and exit status 2; never on the wire

Each carries a message (what happened, where) and a hint (what to do next). `Cancelled` is not in
the tree: being stopped on request is no error.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LofiError(Exception):
    """`message`: what happened and where; `hint`: what to do next; `data`: figures for programs."""

    code: ClassVar[int] = -32603
    name: ClassVar[str] = "INTERNAL_ERROR"
    default_hint: ClassVar[str] = "This is a defect; the log on stderr has the details (:Lofi log)."

    def __init__(self, message: str, *, hint: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.data = data


class ParseError(LofiError):
    code = -32700
    name = "PARSE_ERROR"
    default_hint = "Send one JSON object or array a line, in UTF-8, at most 1 MiB long."


class InvalidRequest(LofiError):
    code = -32600
    name = "INVALID_REQUEST"
    default_hint = 'A request is {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}.'


class MethodNotFound(LofiError):
    code = -32601
    name = "METHOD_NOT_FOUND"
    default_hint = "docs/protocol.md lists the methods."


class InvalidParams(LofiError):
    code = -32602
    name = "INVALID_PARAMS"
    default_hint = "Correct the parameters named in the message and send the request again."


class InternalError(LofiError):
    pass


class ModelError(LofiError):
    """Something is wrong with a model's files or with running them."""


class ModelNotFound(ModelError):
    code = -32000
    name = "MODEL_NOT_FOUND"
    default_hint = "Download the model, or point its environment variable at the right folder."


class ModelLoadFailed(ModelError):
    code = -32001
    name = "MODEL_LOAD_FAILED"
    default_hint = "Download the model again; files that are whole are kept."


class ModelDownloadFailed(ModelError):
    code = -32002
    name = "MODEL_DOWNLOAD_FAILED"
    default_hint = "Ask for the download again; it goes on where it stopped."


class ModelInferenceFailed(ModelError):
    code = -32003
    name = "MODEL_INFERENCE_FAILED"
    default_hint = "Try another seed."


class RequestError(LofiError):
    """A generate request that cannot be carried out as it stands."""


class QueueFull(RequestError):
    code = -32004
    name = "QUEUE_FULL"
    default_hint = "Wait for a track to finish, or clear the queue."


class InvalidDuration(RequestError):
    code = -32005
    name = "INVALID_DURATION"
    default_hint = "Ask for a duration inside the backend's range."


class InvalidPrompt(RequestError):
    code = -32006
    name = "INVALID_PROMPT"
    default_hint = "Describe the music in 1 to 512 characters."


class InvalidBackend(RequestError):
    code = -32007
    name = "INVALID_BACKEND"
    default_hint = "Use one of the known backends."


class BackendNotInstalled(RequestError):
    code = -32008
    name = "BACKEND_NOT_INSTALLED"
    default_hint = (
        "Download the backend's model first, or leave the backend out to use the bundled one."
    )


class InvalidInferenceSteps(RequestError):
    code = -32009
    name = "INVALID_INFERENCE_STEPS"
    default_hint = "Use 1 to 200 inference steps; or leave them out and say a quality."


class InvalidGuidanceScale(RequestError):
    code = -32010
    name = "INVALID_GUIDANCE_SCALE"
    default_hint = "Use a guidance scale from 1.0 to 30.0."


class InvalidScheduler(RequestError):
    code = -32011
    name = "INVALID_SCHEDULER"
    default_hint = "Use euler, heun, pingpong or adams."


class TrackError(LofiError):
    """Something is wrong with one track."""


class TrackNotFound(TrackError):
    code = -32012
    name = "TRACK_NOT_FOUND"
    default_hint = "List the tracks to see which there are."


class TrackAlreadyComplete(TrackError):
    code = -32013
    name = "TRACK_ALREADY_COMPLETE"
    default_hint = "The track is finished; delete it if it is not wanted."


class CacheWriteFailed(TrackError):
    code = -32014
    name = "CACHE_WRITE_FAILED"
    default_hint = "Free some disk space or set LOFI_CACHE_PATH to a folder that can be written."


class AudioDeviceError(LofiError):
    code = -32015
    name = "AUDIO_DEVICE_ERROR"
    default_hint = "Check that a sound device is connected, or choose another one."


class AudioPlaybackError(LofiError):
    code = -32016
    name = "AUDIO_PLAYBACK_ERROR"
    default_hint = (
        "Give a WAV, FLAC, OGG or MP3 file; a track of the cache can be deleted and made again."
    )


class RemoteUnavailable(LofiError):
    """The machine that computes (LOFI_REMOTE) is not reached, or says what cannot be used."""

    code = -32017
    name = "REMOTE_UNAVAILABLE"
    default_hint = "`lofi-daemon doctor` shows what is wrong; LOFI_REMOTE says where it is."


class ShuttingDown(LofiError):
    code = -32018
    name = "SHUTTING_DOWN"
    default_hint = "Start the daemon again and send the request to the new one."


class OutputFailed(LofiError):
    """Something that was asked for on the command line cannot be written."""

    default_hint = "Free some space, or choose another place."


class ConfigurationError(LofiError):
    """A bad value in the environment or on the command line: one line on stderr, exit status 2."""

    default_hint = "Correct the value or remove it to use the default."


def error_named(name: str) -> type[LofiError]:
    """The error of that name on the wire; InternalError for one that this version does not know."""
    known = [LofiError]
    for kind in known:
        if kind.name == name and kind is not LofiError:
            return kind
        known.extend(kind.__subclasses__())
    return InternalError
