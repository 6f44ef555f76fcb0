"""What playback tells the rest of the house, as it happens."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.errors import LofiError
from lofi_daemon.player.turn import Turn


@dataclass(frozen=True)
class PlaybackStarted:
    """again: the same turn goes on, in a player that was started anew or on another device."""

    turn: Turn
    position_sec: float
    duration_sec: float
    again: bool = False


@dataclass(frozen=True)
class PlaybackPaused:
    turn: Turn
    position_sec: float
    duration_sec: float


@dataclass(frozen=True)
class PlaybackResumed:
    turn: Turn
    position_sec: float
    duration_sec: float


@dataclass(frozen=True)
class PlaybackEnded:
    """reason: finished, skipped, stopped, cancelled or error; error is there with the last one."""

    track_id: str
    reason: str
    error: LofiError | None = None


@dataclass(frozen=True)
class PlaybackSilent:
    """Nothing is left to play."""


PlaybackEvent = PlaybackStarted | PlaybackPaused | PlaybackResumed | PlaybackEnded | PlaybackSilent
