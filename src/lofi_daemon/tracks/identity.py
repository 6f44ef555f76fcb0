"""What makes two tracks the same track."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.files.held import Derived
from lofi_daemon.parameters import Options

# The options that there were when the first tracks were made. They count even where they are not
# set, so that those tracks are found again; every later one counts only where it is set.
FIRST_OPTIONS = ("inference_steps", "scheduler", "guidance_scale", "cfg_type", "erg")

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
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
        "backend": _json(backend),
        "model_version": _json(model_version),
        "prompt": _json(request.prompt),
        "duration_sec": repr(float(request.duration_sec)),
        "seed": repr(request.seed),
        **_settings.of(request.options),
        **({} if request.task is None else {"task": _json(request.task.identity)}),
    }
    # As `_json` writes the whole, in half the time: a batch asks for a million of them.
    said = ",".join([f'"{name}":{inputs[name]}' for name in sorted(inputs)])
    return hashlib.sha256(f"{{{said}}}".encode()).hexdigest()[:16]


def _in_json(options: Options) -> dict[str, str]:
    named: dict[str, Any] = {**dict.fromkeys(FIRST_OPTIONS), **options.given}
    return {name: _json(value) for name, value in named.items()}


# Thousands of songs in a row may share one object of options.
_settings = Derived(_in_json)


@dataclass(frozen=True)
class Recipe:
    """All that a track's sound depends on: the backend's type, its model, a resolved request."""

    backend: str
    model_version: str | None
    request: GenerationRequest

    @cached_property
    def track_id(self) -> str:
        return track_id(self.backend, self.model_version, self.request)
