"""What playback tells the rest of the daemon: events as they happen, and the state when asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lofi_daemon.errors import LofiError
from lofi_daemon.player.playlist import Loop

PlaybackState = Literal["playing", "paused", "stopped"]


@dataclass(frozen=True)
class PlaybackStarted:
    track_id: str
    prompt: str
    position_sec: float
    duration_sec: float


@dataclass(frozen=True)
class PlaybackPaused(PlaybackStarted):
    pass


@dataclass(frozen=True)
class PlaybackResumed(PlaybackStarted):
    pass


@dataclass(frozen=True)
class PlaybackEnded:
    """reason: finished, skipped, stopped or error; error is there with the last one."""

    track_id: str
    reason: str
    error: LofiError | None = None


@dataclass(frozen=True)
class PlaybackSilent:
    """Nothing is left to play."""


PlaybackEvent = PlaybackStarted | PlaybackPaused | PlaybackResumed | PlaybackEnded | PlaybackSilent


@dataclass(frozen=True)
class PlayerStatus:
    state: PlaybackState
    track_id: str | None
    prompt: str | None
    position_sec: float
    duration_sec: float
    volume: float
    crossfade_sec: float
    loop: Loop
    device: str | None
