"""What the player tells the daemon, as dataclasses on both sides and JSON lines in between.

`entry` is the daemon's number for one turn of one track; a track played twice has two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Started:
    entry: int
    position_sec: float
    duration_sec: float


@dataclass(frozen=True)
class Ended:
    """reason: finished, skipped, stopped, cancelled or error (then also why)."""

    entry: int
    reason: str
    message: str | None = None


@dataclass(frozen=True)
class Stopped:
    """Nothing is left to play."""


@dataclass(frozen=True)
class Position:
    """Where the playing track is; sent twice a second while there is sound.

    underruns counts, since the player started, the gaps that it had to fill with silence.
    """

    entry: int | None
    position_sec: float
    underruns: int


@dataclass(frozen=True)
class DeviceLost:
    """The player's last word: it ends, and a new one goes on with the default device."""

    message: str


PlayerReport = Started | Ended | Stopped | Position | DeviceLost

_KINDS: Mapping[str, type[Any]] = {
    "started": Started,
    "ended": Ended,
    "stopped": Stopped,
    "position": Position,
    "device_lost": DeviceLost,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_message(event: PlayerReport) -> dict[str, Any]:
    return {"event": _NAMES[type(event)], **asdict(event)}


def from_message(message: Mapping[str, Any]) -> PlayerReport:
    fields = {name: value for name, value in message.items() if name != "event"}
    return _KINDS[message["event"]](**fields)
