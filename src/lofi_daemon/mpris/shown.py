"""What the desktop sees of a moment of playing: plain values, in MPRIS's words and units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lofi_daemon.player.playlist import Loop
from lofi_daemon.player.table import Table
from lofi_daemon.text import shown as spelt_out

Status = Literal["Playing", "Paused", "Stopped"]
LoopStatus = Literal["None", "Track", "Playlist"]

NO_TRACK = "/org/mpris/MediaPlayer2/TrackList/NoTrack"
# Further off than a report and the clock may be from each other.
SEEKED_USEC = 500_000

_STATUS: dict[str, Status] = {"playing": "Playing", "paused": "Paused", "stopped": "Stopped"}
_LOOP: dict[Loop, LoopStatus] = {"off": "None", "track": "Track", "playlist": "Playlist"}


@dataclass(frozen=True)
class Shown:
    """track: the object path of the turn. position_usec was so at the time `at` (seconds)."""

    status: Status = "Stopped"
    track: str = NO_TRACK
    title: str = ""
    length_usec: int = 0
    volume: float = 0.5
    loop: LoopStatus = "None"
    can_go_previous: bool = False
    position_usec: int = 0
    at: float = 0.0

    @property
    def plays(self) -> bool:
        """Whether there is a track that sounds or is paused."""
        return self.status != "Stopped"

    def position(self, now: float) -> int:
        """Microseconds into the track, counted on from `at`."""
        passed = now - self.at if self.status == "Playing" else 0.0
        position = self.position_usec + usec(passed)
        return min(position, self.length_usec) if self.length_usec else position


def shown(table: Table, loop: Loop, title: str, now: float) -> Shown:
    """The moment `now` (on the table's clock); title: what the playing track is called.

    A bus ends the connection of whoever sends it a NUL, or what is no UTF-8.
    """
    playing = table.playing
    return Shown(
        status=_STATUS[table.state],
        track=NO_TRACK if playing is None else f"/nvim/lofi/turn/{playing.entry}",
        title=spelt_out(title),
        length_usec=usec(table.duration_sec),
        volume=0.0 if table.muted else table.volume,
        loop=_LOOP[loop],
        can_go_previous=playing is not None or table.last is not None,
        position_usec=usec(table.position(now)),
        at=now,
    )


def seeked(before: Shown, after: Shown) -> bool:
    """Whether the position is another one than a listener would count to."""
    if before.track != after.track or not after.plays:
        return False
    return abs(after.position_usec - before.position(after.at)) > SEEKED_USEC


def loop_of(status: str) -> Loop | None:
    """What is repeated, from MPRIS's word for it; None where that is no word of it."""
    return next((loop for loop, name in _LOOP.items() if name == status), None)


def usec(seconds: float) -> int:
    return round(seconds * 1_000_000)
