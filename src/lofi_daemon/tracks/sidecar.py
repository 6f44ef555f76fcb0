"""A track and the JSON file beside it that says how it was made."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lofi_daemon.files.documents import read_document

MAX_SIDECAR_BYTES = 1 << 18
# Later than any clock of this program's time: such a date tells nothing.
_END_OF_TIME = "2200"
_LONG_AGO = "1970-01-01T00:00:00.000Z"


def _moment(text: str) -> str:
    """A time as sidecars write it; one that no clock can have shown counts as long ago.

    Raises ValueError for anything else.
    """
    datetime.fromisoformat(text.replace("Z", "+00:00"))
    return text if text < _END_OF_TIME else _LONG_AGO


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    AfterValidator(_moment),
]
MAX_SECONDS = 1e6
MAX_PEAK = 1e3
MAX_LUFS = 100.0
Seconds = Annotated[float, Field(ge=0.0, le=MAX_SECONDS, allow_inf_nan=False)]
SpanSeconds = Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS, allow_inf_nan=False)]
Peak = Annotated[float, Field(ge=0.0, le=MAX_PEAK, allow_inf_nan=False)]


_MAY_LACK = ("parent", "task", "source", "source_sha256", "span", "strength")


class Track(BaseModel):
    """One finished track: every parameter that made it, and what is known of its sound.

    `parent` is the track that this one was asked from. `task` says what was made of its `source` (a
    track's id, or the path of a file) with the contents `source_sha256`; `material_bytes` is the
    size of what lies beside it for those who go on from it.

    The options of the backend stand flat beside the rest: those that there were from the beginning
    are declared here and are None where they were not used, any other is a field of its own where
    it was set.

    Times are UTC in ISO 8601 with milliseconds, so that they sort as text. `true_peak` is linear
    (1.0 is full scale). `loudness_lufs` is None for silence and for less than 0.4 s; `waveform`
    has 64 peaks from 0 to 1. The audio file is `<track_id>.wav` or `.flac` and no other, so that
    no track can take another's along when it goes. Every number is finite and bounded.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    track_id: str = Field(pattern="^[0-9a-f]{16}$")
    file: str = Field(
        pattern=r"^[0-9a-f]{16}\.(wav|flac)$", description="The audio file, beside the sidecar."
    )
    backend: str
    model_version: str | None
    prompt: str
    duration_sec: Seconds
    seed: int = Field(ge=0, lt=1 << 64)
    inference_steps: int | None = Field(default=None, ge=1, le=10_000)
    scheduler: str | None = None
    guidance_scale: float | None = Field(default=None, ge=-1e6, le=1e6, allow_inf_nan=False)
    cfg_type: str | None = None
    erg: bool | None = None
    sample_rate: int = Field(ge=1, le=1_000_000)
    channels: int = Field(ge=1, le=64)
    bytes: int = Field(ge=0, lt=1 << 53)
    created_at: Moment
    generation_time_sec: Seconds
    loudness_lufs: float | None = Field(ge=-200.0, le=MAX_LUFS, allow_inf_nan=False)
    true_peak: Peak | None = None
    waveform: list[Peak] = Field(max_length=4096)
    material_bytes: int = Field(default=0, ge=0, lt=1 << 53)
    parent: str | None = Field(default=None, pattern="^[0-9a-f]{16}$")
    task: str | None = Field(default=None, max_length=64)
    source: str | None = Field(default=None, max_length=4096)
    source_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    span: tuple[SpanSeconds, SpanSeconds] | None = None
    strength: float | None = Field(default=None, ge=0.0, le=1.0, allow_inf_nan=False)
    kept: bool = False
    last_played_at: Moment | None = None

    @model_serializer(mode="wrap")
    def _without_what_it_lacks(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A track that began with nothing says nothing of it, as the first tracks do."""
        lacking = {name for name in _MAY_LACK if getattr(self, name) is None}
        if not self.material_bytes:
            lacking.add("material_bytes")
        fields: dict[str, Any] = serialise(self)
        return {name: value for name, value in fields.items() if name not in lacking}

    @model_validator(mode="after")
    def _owns_its_file(self) -> Track:
        if Path(self.file).stem != self.track_id:
            raise ValueError(f"{self.file} is the file of another track")
        return self

    @property
    def all_bytes(self) -> int:
        """Of the sound and what lies beside it."""
        return self.bytes + self.material_bytes

    @property
    def loops(self) -> bool:
        """Whether its end leads into its beginning."""
        return self.model_dump().get("loop") is True

    @property
    def latest(self) -> str:
        """The later of its times."""
        return max(self.created_at, self.last_played_at or "")

    @model_validator(mode="before")
    @classmethod
    def _only_options(cls, fields: Any) -> Any:
        """What is not declared is an option where it is one value, else of a later version."""
        if not isinstance(fields, dict):
            return fields
        known = cast("dict[str, Any]", fields)
        return {
            name: value
            for name, value in known.items()
            if name in cls.model_fields or _is_option(name, value)
        }

    @property
    def last_used_at(self) -> str:
        """When it was last played, or made when it never was."""
        return self.last_played_at or self.created_at


def _is_option(name: str, value: Any) -> bool:
    return name.isidentifier() and isinstance(value, str | int | float)


def now() -> str:
    """This moment as sidecars write it."""
    return _written(datetime.now(timezone.utc))


def moment_after(latest: str | None) -> str:
    """This moment, but later than `latest`, whatever the clock says.

    Order is what these times are for: it survives a clock that was once ahead, or is behind.
    """
    moment = now()
    if latest is None or moment > latest:
        return moment
    before = datetime.fromisoformat(latest.replace("Z", "+00:00"))
    return _written(before + timedelta(milliseconds=1))


def read_sidecar(path: Path) -> Track | None:
    """The track that this sidecar is of; None when the file is gone or is no track's."""
    try:
        track = Track.model_validate(read_document(path, MAX_SIDECAR_BYTES))
    except (OSError, ValueError):  # pydantic's own error is a ValueError
        return None
    return track if path.name == f"{track.track_id}.json" else None


def changed_sidecar(path: Path, **changes: Any) -> bytes:
    """The sidecar's text with some fields changed; fields of later versions are kept.

    Raises OSError or ValueError when the file cannot be read.
    """
    fields = read_document(path, MAX_SIDECAR_BYTES)
    fields.update(changes)
    return json.dumps(fields, indent=1).encode()


def sidecar_text(track: Track) -> bytes:
    return json.dumps(track.model_dump(), indent=1, allow_nan=False).encode()


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
