"""What goes over the wire about playing: parameters, results and notifications."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lofi_daemon.parameters import Parameters, Prompt, SoundParameters
from lofi_daemon.radio import DEFAULT_AHEAD, Library
from lofi_daemon.rpc.messages import Explained, Message

# Parameters


class PlayParameters(Parameters):
    track_id: str | None = Field(
        default=None, description="What to play. Default: go on, or what comes next."
    )


class PlayerSetParameters(Parameters):
    """Only what is given changes; a device that is given as null is the system's default."""

    volume: float | None = Field(default=None, ge=0.0, le=1.0, allow_inf_nan=False)
    crossfade_sec: float | None = Field(default=None, ge=0.0, le=12.0, allow_inf_nan=False)
    loop: Literal["off", "track", "playlist"] | None = None
    device: str | None = None
    position_sec: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    muted: bool | None = Field(default=None, description="Silent; the volume stays what it is.")
    stops_in_sec: float | None = Field(
        default=None,
        ge=0.0,
        le=86_400.0,
        allow_inf_nan=False,
        description="Fade out and stop after that many seconds; null: go on. `stop` ends it too.",
    )


class RadioStartParameters(SoundParameters):
    """Prompts of one's own, a preset's or tracks of the library; none: the default preset."""

    prompts: list[Prompt] | None = Field(default=None, min_length=1, max_length=1000)
    preset: str | None = Field(default=None, description="Name of a preset.")
    library: Library | None = Field(
        default=None,
        description="Make nothing; play the kept tracks, or all that there are.",
    )
    order: Literal["cycle", "shuffle"] = Field(
        default="cycle", description="Prompts one after the other, or shuffled without repeats."
    )
    ahead: int = Field(
        default=DEFAULT_AHEAD, ge=1, le=10, description="New tracks to keep ready, 1 to 10."
    )


# Results


class PlayResult(Message):
    track_id: str | None
    position_sec: float


class AudioDevice(Message):
    name: str
    is_default: bool


class AudioDevicesResult(Message):
    devices: list[AudioDevice]
    current: str | None


class PlaylistResult(Message):
    track_ids: list[str]


class RadioResult(Message):
    radio: dict[str, Any] | None


class RadioPreset(Message):
    name: str
    description: str
    prompts: list[str]


class RadioPresetsResult(Explained):
    presets: list[RadioPreset]


# Notifications


class PlaybackPosition(Message):
    """Of playback_started, playback_paused and playback_resumed."""

    track_id: str
    prompt: str
    position_sec: float
    duration_sec: float


class PlaybackEndedMessage(Message):
    """code, message and hint are there when the reason is error."""

    track_id: str
    reason: Literal["finished", "skipped", "stopped", "error"]
    code: str | None = None
    message: str | None = None
    hint: str | None = None


class RadioWaitingMessage(Message):
    ready: int
    eta_sec: float | None
    replaying: str | None
