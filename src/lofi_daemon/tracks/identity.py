"""What makes two tracks the same track."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from lofi_daemon.backends.protocol import GenerationRequest


def track_id(backend: str, model_version: str | None, request: GenerationRequest) -> str:
    """The first 16 hex digits of SHA-256 over everything that changes the audio.

    The request must be resolved: a default that was filled in and the same value given by the
    client are the same input.
    """
    inputs = {
        "backend": backend,
        "model_version": model_version,
        **dataclasses.asdict(request),
        "duration_sec": float(request.duration_sec),
    }
    if request.guidance_scale is not None:
        inputs["guidance_scale"] = float(request.guidance_scale)
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
