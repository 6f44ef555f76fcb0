"""The keys that every player has, the same in the radio and for files."""

from __future__ import annotations

from lofi_daemon.player.sleep import SleepTimer
from lofi_daemon.player.turntable import Turntable

VOLUME_STEP = 0.05
SEEK_STEP_SEC = 10.0
# What one key goes through: a quarter of an hour, half, a whole one, no timer.
SLEEP_SEC = (15 * 60.0, 30 * 60.0, 60 * 60.0)


async def press(turntable: Turntable, sleep: SleepTimer, key: str) -> None:
    """Do what the key stands for; other keys are for others. Raises LofiError."""
    table = turntable.table
    if key == " ":
        await (turntable.resume() if table.state == "paused" else turntable.pause())
    elif key in ("+", "="):
        await turntable.set_volume(min(1.0, table.volume + VOLUME_STEP))
    elif key in ("-", "−", "_"):
        await turntable.set_volume(max(0.0, table.volume - VOLUME_STEP))
    elif key == "m":
        await turntable.set_muted(not table.muted)
    elif key in ("left", "right"):
        step = SEEK_STEP_SEC if key == "right" else -SEEK_STEP_SEC
        end = table.duration_sec or float("inf")
        await turntable.seek(min(max(0.0, turntable.position_sec + step), end))
    elif key == "t":
        sleep.set(_next_sleep_sec(sleep.left_sec))


def _next_sleep_sec(left_sec: float | None) -> float | None:
    longer = (seconds for seconds in SLEEP_SEC if left_sec is None or seconds > left_sec)
    return next(longer, None)
