"""What makes two tracks the same track."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property

from lofi_daemon.backends.protocol import GenerationRequest

# The options that there were when the first tracks were made. They count even where they are not
# set, so that those tracks are found again; every later one counts only where it is set.
FIRST_OPTIONS = ("inference_steps", "scheduler", "guidance_scale", "cfg_type", "erg")

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_TRACK_ID = re.compile("[0-9a-f]{16}")


def is_track_id(text: str) -> bool:
    """Whether a track may be called that, and its files be named so."""
    return _TRACK_ID.fullmatch(text) is not None


def track_id(backend: str, model_version: str | None, request: GenerationRequest) -> str:
    """The first 16 hex digits of SHA-256 over everything that changes the audio.

    The request must be resolved: a default that was filled in and the same value given by the
    client are the same input.
    """
    inputs = {
        "backend": backend,
        "model_version": model_version,
        "prompt": request.prompt,
        "duration_sec": float(request.duration_sec),
        "seed": request.seed,
        **dict.fromkeys(FIRST_OPTIONS),
        **request.options.given,
        **({} if request.task is None else {"task": request.task.identity}),
    }
    return hashlib.sha256(_CANONICAL.encode(inputs).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """All that a track's sound depends on: the backend's type, its model, a resolved request."""

    backend: str
    model_version: str | None
    request: GenerationRequest

    @cached_property
    def track_id(self) -> str:
        return track_id(self.backend, self.model_version, self.request)
