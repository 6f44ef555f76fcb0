"""A track and the JSON file beside it that says how it was made."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Track(BaseModel):
    """One finished track: every parameter that made it, and what is known of its sound.

    Times are UTC in ISO 8601 with milliseconds, so that they sort as text. `true_peak` is linear
    (1.0 is full scale). `loudness_lufs` is None for silence and for less than 0.4 s; `waveform`
    has 64 peaks from 0 to 1.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    track_id: str = Field(pattern="^[0-9a-f]{16}$")
    file: str = Field(
        pattern=r"^[0-9a-f]{16}\.(wav|flac)$", description="The audio file, beside the sidecar."
    )
    backend: str
    model_version: str | None
    prompt: str
    duration_sec: float
    seed: int
    inference_steps: int | None = None
    scheduler: str | None = None
    guidance_scale: float | None = None
    cfg_type: str | None = None
    erg: bool | None = None
    sample_rate: int
    channels: int
    bytes: int
    created_at: str
    generation_time_sec: float
    loudness_lufs: float | None
    true_peak: float | None = None
    waveform: list[float]
    kept: bool = False
    last_played_at: str | None = None

    @property
    def last_used_at(self) -> str:
        """When it was last played, or made when it never was."""
        return self.last_played_at or self.created_at


def now() -> str:
    """This moment as sidecars write it."""
    moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def read_sidecar(path: Path) -> Track | None:
    """The track a sidecar tells of; None when the file is gone or is not a sidecar."""
    try:
        return Track.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def changed_sidecar(path: Path, **changes: Any) -> bytes:
    """The sidecar's text with some fields changed; fields of later versions are kept.

    Raises OSError or ValueError when the file cannot be read.
    """
    fields = json.loads(path.read_bytes())
    fields.update(changes)
    return json.dumps(fields, indent=1).encode()


def sidecar_text(track: Track) -> bytes:
    return json.dumps(track.model_dump(), indent=1).encode()
