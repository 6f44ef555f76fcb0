"""The table under every order of reports and commands: state, events and protection agree."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lofi_daemon.errors import AudioDeviceError
from lofi_daemon.player.events import (
    PlaybackEnded,
    PlaybackEvent,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackSilent,
    PlaybackStarted,
)
from lofi_daemon.player.reports import DeviceLost, Ended, Position, Started, Stopped
from lofi_daemon.player.table import (
    Died,
    Level,
    LinedUp,
    LineUp,
    Pause,
    Put,
    PutBack,
    Resume,
    Seek,
    Settle,
    Step,
    Table,
    Want,
    after,
)
from lofi_daemon.player.turn import Origin, Turn


def turn(entry: int, origin: Origin = "asked") -> Turn:
    return Turn(entry, Path(f"/{entry % 5}.wav"), 1.0, origin=origin)


class Listener:
    """What a client knows who believes every event, and nothing else."""

    def __init__(self) -> None:
        self.sounding: str | None = None
        self.owed = False  # a started whose ended is not told
        self.state = "stopped"

    def hear(self, event: PlaybackEvent) -> None:
        if isinstance(event, PlaybackStarted):
            assert event.again or not self.owed, "the one before was never ended"
            self.sounding, self.owed, self.state = event.turn.track_id, True, "playing"
        elif isinstance(event, PlaybackEnded):
            assert self.owed, "ended twice"
            assert event.track_id == self.sounding
            self.owed = False
        elif isinstance(event, PlaybackPaused):
            assert self.state == "playing"
            self.state = "paused"
        elif isinstance(event, PlaybackResumed):
            assert self.state == "paused"
            self.state = "playing"
        elif isinstance(event, PlaybackSilent):
            assert not self.owed, "silent, and the last one was never ended"
            assert self.state != "stopped"
            self.sounding, self.state = None, "stopped"


class Playing(RuleBasedStateMachine):
    """Reports come in any order, as from a player that may die between any two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.listener = Listener()
        self.now = 0.0
        self.entries = 0
        self.waiting: list[Turn] = []

    def step(self, step: Step) -> tuple[PlaybackEvent, ...]:
        self.now += 0.25
        self.table, told = after(self.table, step, self.now)
        for event in told:
            self.listener.hear(event)
        return told

    def new(self, origin: Origin = "asked") -> Turn:
        self.entries += 1
        return turn(self.entries, origin)

    @rule(origin=st.sampled_from(["asked", "radio", "previous", "loop"]))
    def put(self, origin: Origin) -> None:
        self.step(Put(self.new(origin)))

    @precondition(lambda self: self.table.coming is not None)
    @rule()
    def put_back(self) -> None:
        assert self.table.coming is not None
        self.step(PutBack(self.table.coming))
        assert self.table.coming is None

    @rule()
    def line_up(self) -> None:
        following = self.new("playlist")
        self.step(LineUp(following))
        assert self.table.next is None
        self.waiting.append(following)

    @rule()
    def line_up_nothing(self) -> None:
        self.step(LineUp(None))
        assert self.table.next is None

    @precondition(lambda self: self.waiting)
    @rule()
    def lined_up(self) -> None:
        self.step(LinedUp(self.waiting.pop()))

    @rule(data=st.data(), position=st.floats(0, 10))
    def started(self, data: st.DataObject, position: float) -> None:
        known = [turn.entry for turn in self.table.known]
        entry = data.draw(st.sampled_from([*known[-3:], 9999]))
        told = self.step(Started(entry, position, 20.0))
        assert bool(told) == (entry in known)

    @rule(back=st.integers(0, 2), reason=st.sampled_from(["finished", "skipped", "error"]))
    def ended(self, back: int, reason: str) -> None:
        self.step(Ended(max(0, self.entries - back), reason, None))

    @rule()
    def stopped(self) -> None:
        self.step(Stopped())
        assert self.table.state == "stopped"
        coming = self.table.coming
        assert self.table.needed == (frozenset({coming.track_id}) if coming else frozenset())

    @rule(step=st.sampled_from([Pause(), Resume(), Died(), Want(True), Want(False)]))
    def simple(self, step: Step) -> None:
        before = self.table
        self.step(step)
        assert self.table.playing == before.playing

    @rule(position=st.floats(0, 30))
    def position(self, position: float) -> None:
        entry = self.table.playing.entry if self.table.playing is not None else None
        self.step(Position(entry, position, 0))

    @rule(position=st.floats(0, 20))
    def seek(self, position: float) -> None:
        self.step(Seek(position))

    @rule()
    def device_lost(self) -> None:
        told = self.step(DeviceLost("gone"))
        assert all(isinstance(e, PlaybackEnded) for e in told)
        assert self.table.device is None
        for event in told:
            assert isinstance(event, PlaybackEnded)
            assert isinstance(event.error, AudioDeviceError)

    @rule(gain=st.floats(0.1, 2.0))
    def level(self, gain: float) -> None:
        entry = self.table.playing.entry if self.table.playing is not None else -1
        self.step(Level(entry, gain))

    @invariant()
    def something_plays_exactly_when_it_is_not_stopped(self) -> None:
        assert (self.table.playing is None) == (self.table.state == "stopped")

    @invariant()
    def a_client_that_believes_the_events_knows_the_state(self) -> None:
        assert self.listener.state == self.table.state
        playing = self.table.playing
        assert self.listener.sounding == (playing.track_id if playing is not None else None)
        assert self.listener.owed == (playing is not None and not self.table.ended)

    @invariant()
    def what_does_not_sound_and_will_not_is_not_protected(self) -> None:
        turns = (self.table.playing, self.table.coming, self.table.next)
        assert self.table.needed == {turn.track_id for turn in turns if turn is not None}
        if self.table.state == "stopped":
            assert self.table.next is None

    @invariant()
    def positions_stay_inside_the_track(self) -> None:
        position = self.table.position(self.now + 100.0)
        assert position >= 0.0
        assert self.table.duration_sec == 0 or position <= self.table.duration_sec


TestPlaying = Playing.TestCase
TestPlaying.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def through(*steps: Step) -> Table:
    table = Table()
    for number, step in enumerate(steps):
        table, _ = after(table, step, float(number))
    return table


def test_a_track_lined_up_and_put_back_may_have_begun_all_the_same() -> None:
    one, two, three = turn(1), turn(2), turn(3)
    table = through(
        Put(one), Started(1, 0.0, 9.0), PutBack(one), LineUp(two), LinedUp(two), LineUp(three),
        Ended(1, "finished"), Started(2, 0.0, 9.0), LinedUp(three),
    )  # fmt: skip
    assert table.playing == two
    assert table.next == three


def test_going_back_takes_a_step_off_the_history() -> None:
    steps: list[Step] = []
    for entry in (1, 2, 3):
        steps += [Put(turn(entry)), Started(entry, 0.0, 9.0)]
    assert through(*steps).history == ("file:///1.wav", "file:///2.wav")
    back = Turn(9, Path("/2.wav"), 1.0, origin="previous")
    table = through(*steps, Put(back), Started(9, 0.0, 9.0))
    assert table.history == ("file:///1.wav",)
    first = Turn(10, Path("/1.wav"), 1.0, origin="previous")
    assert through(*steps, Put(first), Started(10, 0.0, 9.0)).history == ()


def test_a_turn_whose_track_is_whole_now_is_so_wherever_it_stands() -> None:
    growing, following = turn(1), turn(2)
    whole = Turn(1, Path("/whole.wav"), 0.8)
    table = through(
        Put(growing), Started(1, 0.0, 9.0), PutBack(growing), LinedUp(following), Settle(whole)
    )
    assert (table.playing, table.last, table.next) == (whole, whole, following)
    assert whole in table.known
    assert growing not in table.known
    assert table.state == "playing"
    lined_up = through(
        Put(following), Started(2, 0.0, 9.0), PutBack(following), LinedUp(growing), Settle(whole)
    )
    assert (lined_up.playing, lined_up.next) == (following, whole)
