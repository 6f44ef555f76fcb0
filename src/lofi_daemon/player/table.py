"""What plays: one table, changed in pure steps.

`after(table, step, now)` is the table after something was reported or done, and what is told of
it. Whoever plays keeps a table and changes it in no other way; see `Turntable`. Times are seconds
of any clock that does not jump.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lofi_daemon.errors import AudioDeviceError, AudioPlaybackError
from lofi_daemon.player.events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackSilent,
    PlaybackStarted,
)
from lofi_daemon.player.reports import (
    DeviceLost,
    Ended,
    PlayerReport,
    Position,
    Started,
    Stopped,
)
from lofi_daemon.player.turn import Turn

PlaybackState = Literal["playing", "paused", "stopped"]

# What was meant to come next may have begun at the moment in which it was put back.
REMEMBERED_TURNS = 32
REMEMBERED_TRACKS = 200


@dataclass(frozen=True)
class Table:
    """state, and the turns that it is about.

    playing: sounds or is paused; None exactly when stopped.
    ended: the last word on `playing` is told, and what follows has not begun yet.
    coming: asked for and not begun yet. next: what the player goes on with by itself.
    known: the latest turns that the player was told of.
    position_sec was so at the time `at`; duration_sec is 0 where it is not known.
    last: what sounded last. history: the tracks before it, oldest first.
    wanted: False after a stop, until something plays or is asked for again.
    """

    state: PlaybackState = "stopped"
    playing: Turn | None = None
    ended: bool = False
    coming: Turn | None = None
    next: Turn | None = None
    known: tuple[Turn, ...] = ()
    position_sec: float = 0.0
    at: float = 0.0
    duration_sec: float = 0.0
    last: Turn | None = None
    history: tuple[str, ...] = ()
    wanted: bool = True
    volume: float = 0.5
    muted: bool = False
    crossfade_sec: float = 2.0
    device: str | None = None
    underruns: int = 0

    def position(self, now: float) -> float:
        """Seconds into the playing track, counted on from the last report."""
        position = self.position_sec
        if self.state == "playing":
            position += now - self.at
        return min(position, self.duration_sec) if self.duration_sec > 0 else position

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those that sound or will."""
        turns = (self.playing, self.coming, self.next)
        return tuple(turn for turn in turns if turn is not None)

    @property
    def needed(self) -> frozenset[str]:
        """The tracks that sound or will."""
        return frozenset(turn.track_id for turn in self.turns)


# What is done to the table; the rest of its steps are what the player reports.


@dataclass(frozen=True)
class Put:
    """This is to sound now; `PutBack` when it cannot."""

    turn: Turn


@dataclass(frozen=True)
class PutBack:
    turn: Turn


@dataclass(frozen=True)
class Settle:
    """The track of this turn, which grew, is whole now, and the turn says where."""

    turn: Turn


@dataclass(frozen=True)
class LineUp:
    """The player is about to be told what follows; nothing does until it is `LinedUp`."""

    turn: Turn | None


@dataclass(frozen=True)
class LinedUp:
    turn: Turn


@dataclass(frozen=True)
class Pause:
    pass


@dataclass(frozen=True)
class Resume:
    pass


@dataclass(frozen=True)
class Want:
    """Whether the listener wants music: `stop` says no, starting a radio says yes."""

    wanted: bool


@dataclass(frozen=True)
class Remember:
    """What was heard before, oldest first, where another player played it."""

    history: tuple[str, ...]


@dataclass(frozen=True)
class Seek:
    position_sec: float


@dataclass(frozen=True)
class Level:
    """The gain of a turn is known better now."""

    entry: int
    gain: float


@dataclass(frozen=True)
class Adjust:
    """Only what is not None changes, but for the device, whose None is the system's default."""

    volume: float | None = None
    muted: bool | None = None
    crossfade_sec: float | None = None


@dataclass(frozen=True)
class ChangeDevice:
    device: str | None


@dataclass(frozen=True)
class Died:
    """The player process is gone; what played has stopped where it was."""


Command = (
    Put
    | PutBack
    | Settle
    | LineUp
    | LinedUp
    | Pause
    | Resume
    | Want
    | Remember
    | Seek
    | Level
    | Adjust
    | ChangeDevice
    | Died
)
Step = PlayerReport | Command
Told = tuple[PlaybackEvent, ...]


def after(table: Table, step: Step, now: float) -> tuple[Table, Told]:
    """The table after a step, and what is told of it."""
    match step:
        case Started():
            return _started(table, step, now)
        case Ended():
            return _ended(table, step)
        case Stopped():
            return _stopped(table)
        case Position():
            return _at_position(table, step, now), ()
        case DeviceLost(message):
            table = replace(table, device=None)
            return _last_word(table, "error", AudioDeviceError(message))
        case Pause() | Resume():
            return _transported(table, step, now)
        case Seek(position_sec):
            return _moved(table, position_sec, now) if table.playing else table, ()
        case Died():
            return _moved(table, table.position(now), now), ()
        case _:
            return _told_of(table, step), ()


def _told_of(table: Table, step: Command) -> Table:
    """Steps that nobody else is told of."""
    match step:
        case Put(turn):
            return replace(_knowing(table, turn), coming=turn)
        case PutBack(turn):
            return replace(table, coming=None) if _same(table.coming, turn) else table
        case LineUp(turn):
            return replace(_knowing(table, turn) if turn else table, next=None)
        case LinedUp(turn):
            begun = _same(turn, table.playing) or table.state == "stopped"
            return table if begun else replace(table, next=turn)
        case Settle(turn):
            return _settled(table, turn)
        case Want(wanted):
            return replace(table, wanted=wanted)
        case Remember(history):
            return replace(table, history=history[-REMEMBERED_TRACKS:])
        case Level(entry, gain):
            return _levelled(table, entry, gain)
        case Adjust(volume, muted, crossfade_sec):
            return replace(
                table,
                volume=table.volume if volume is None else volume,
                muted=table.muted if muted is None else muted,
                crossfade_sec=table.crossfade_sec if crossfade_sec is None else crossfade_sec,
            )
        case ChangeDevice(device):
            return replace(table, device=device)
        case _:
            return table


def _started(table: Table, report: Started, now: float) -> tuple[Table, Told]:
    turn = next((turn for turn in table.known if turn.entry == report.entry), None)
    if turn is None:
        return table, ()
    again = _same(turn, table.playing)
    told: Told = ()
    if not again:
        table, told = _last_word(table, "skipped", None)
        table = replace(table, history=_history(table, turn), last=turn)
    paused = table.state == "paused" and not _same(turn, table.coming)
    table = replace(
        table,
        state="paused" if paused else "playing",
        playing=turn,
        ended=False,
        coming=None if _same(turn, table.coming) else table.coming,
        next=None if _same(turn, table.next) else table.next,
        position_sec=report.position_sec,
        at=now,
        duration_sec=report.duration_sec,
        wanted=True,
    )
    started = PlaybackStarted(turn, report.position_sec, report.duration_sec, again)
    told = (*told, started)
    if paused:  # it began in the moment in which everything was paused
        told = (*told, PlaybackPaused(turn, report.position_sec, report.duration_sec))
    return table, told


def _history(table: Table, turn: Turn) -> tuple[str, ...]:
    """What was heard before this turn; going back takes off what is gone back over."""
    if turn.origin == "previous" and turn.track_id in table.history:
        return table.history[: _last_place(table.history, turn.track_id)]
    before = () if table.last is None else (table.last.track_id,)
    return (*table.history, *before)[-REMEMBERED_TRACKS:]


def _last_place(history: tuple[str, ...], track_id: str) -> int:
    return len(history) - 1 - history[::-1].index(track_id)


def _ended(table: Table, report: Ended) -> tuple[Table, Told]:
    if table.playing is None or report.entry != table.playing.entry:
        return table, ()
    error = AudioPlaybackError(report.message or "") if report.reason == "error" else None
    return _last_word(table, report.reason, error)


def _last_word(
    table: Table, reason: str, error: AudioDeviceError | AudioPlaybackError | None
) -> tuple[Table, Told]:
    if table.playing is None or table.ended:
        return table, ()
    told = PlaybackEnded(table.playing.track_id, reason, error)
    return replace(table, ended=True), (told,)


def _stopped(table: Table) -> tuple[Table, Told]:
    if table.state == "stopped":
        return replace(table, next=None), ()
    table, told = _last_word(table, "stopped", None)
    table = replace(
        table,
        state="stopped",
        playing=None,
        ended=False,
        next=None,
        position_sec=0.0,
        duration_sec=0.0,
    )
    return table, (*told, PlaybackSilent())


def _at_position(table: Table, report: Position, now: float) -> Table:
    if table.playing is None or report.entry != table.playing.entry:
        return table
    table = replace(table, underruns=report.underruns)
    return _moved(table, report.position_sec, now) if table.state == "playing" else table


def _transported(table: Table, step: Pause | Resume, now: float) -> tuple[Table, Told]:
    turn, position_sec = table.playing, table.position(now)
    state, told = (
        ("paused", PlaybackPaused) if isinstance(step, Pause) else ("playing", PlaybackResumed)
    )
    if turn is None or table.state == state:
        return table, ()
    table = replace(_moved(table, position_sec, now), state=state)
    return table, (told(turn, position_sec, table.duration_sec),)


def _moved(table: Table, position_sec: float, now: float) -> Table:
    return replace(table, position_sec=position_sec, at=now)


def _knowing(table: Table, turn: Turn) -> Table:
    others = tuple(known for known in table.known if not _same(known, turn))
    return replace(table, known=(*others, turn)[-REMEMBERED_TURNS:])


def _settled(table: Table, turn: Turn) -> Table:
    def settled(each: Turn) -> Turn:
        return turn if each.entry == turn.entry else each

    return replace(
        table,
        playing=table.playing and settled(table.playing),
        coming=table.coming and settled(table.coming),
        next=table.next and settled(table.next),
        last=table.last and settled(table.last),
        known=tuple(map(settled, table.known)),
    )


def _levelled(table: Table, entry: int, gain: float) -> Table:
    playing = table.playing
    if playing is None or playing.entry != entry:
        return table
    playing = replace(playing, gain=gain)
    return replace(_knowing(table, playing), playing=playing)


def _same(turn: Turn | None, other: Turn | None) -> bool:
    return turn is not None and other is not None and turn.entry == other.entry
