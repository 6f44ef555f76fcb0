"""The keys that every player has, the same in the radio and for files: what each of them asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lofi_daemon.rpc.handover import Music

VOLUME_STEP = 0.05
SEEK_STEP_SEC = 10.0
# What one key goes through: a quarter of an hour, half, a whole one, no timer.
SLEEP_SEC = (15 * 60.0, 30 * 60.0, 60 * 60.0)


@dataclass(frozen=True)
class Meant:
    """A method of the protocol, and its parameters."""

    method: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])


def key_means(key: str, music: Music, now: float) -> Meant | None:
    """What the key stands for while this plays; None for those that are for others."""
    if key == " ":
        return Meant("resume" if music.state == "paused" else "pause")
    if key == "n":
        return Meant("skip")
    if key == "p":
        return Meant("previous")
    setting = _setting(key, music, now)
    return None if setting is None else Meant("player_set", setting)


def _setting(key: str, music: Music, now: float) -> dict[str, Any] | None:
    if key in ("+", "="):
        return {"volume": min(1.0, music.volume + VOLUME_STEP)}
    if key in ("-", "−", "_"):
        return {"volume": max(0.0, music.volume - VOLUME_STEP)}
    if key == "m":
        return {"muted": not music.muted}
    if key in ("left", "right"):
        step = SEEK_STEP_SEC if key == "right" else -SEEK_STEP_SEC
        return {"position_sec": max(0.0, music.position(now) + step)}
    if key == "t":
        left_sec = None if music.stops_at is None else music.stops_at - now
        return {"stops_in_sec": _next_sleep_sec(left_sec)}
    return None


def _next_sleep_sec(left_sec: float | None) -> float | None:
    longer = (seconds for seconds in SLEEP_SEC if left_sec is None or seconds > left_sec)
    return next(longer, None)
