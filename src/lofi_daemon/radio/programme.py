"""What the radio makes and plays next: pure decisions over state and clock.

A radio is a programme without end: track number 0, 1, 2 …, each with a prompt and a seed that
follow from the radio's own seed. `next_to_make` says what to generate, `next_to_play` what comes
after the track that plays now; both look at a `Situation` and touch nothing. `Station` carries the
decisions out.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Order = Literal["cycle", "shuffle"]
Library = Literal["kept", "all"]

DEFAULT_AHEAD = 2
# The first is short, to sound soon; the second has to last while the programme's first is made.
FILLER_DURATIONS_SEC = (12.0, 28.0)
# A wait that is estimated may last longer: be on the safe side by half and a second.
ESTIMATE_SLACK = 1.5
ESTIMATE_SLACK_SEC = 1.0


@dataclass(frozen=True)
class Programme:
    """What a radio was asked for. The same programme always brings the same tracks.

    library: nothing is made; the kept tracks are played, or all that there are. flow: each track
    goes on from the one before it.
    """

    prompts: tuple[str, ...]
    seed: int
    order: Order = "cycle"
    ahead: int = DEFAULT_AHEAD
    library: Library | None = None
    flow: bool = False


@dataclass(frozen=True)
class KnownTrack:
    """A track that can be played. last_heard is in seconds of any clock, None: never."""

    track_id: str
    duration_sec: float
    last_heard: float | None = None


@dataclass(frozen=True)
class Situation:
    """All that the decisions depend on.

    made: number of programme tracks that were begun (the next one's number).
    latest: the programme track that was made last.
    ready: new programme tracks not yet heard, in programme order.
    making: something of the radio's is being generated or waits for it, ready in `making_eta_sec`
        seconds (None: unknown).
    library: every track that may be played, the ready ones included.
    played: how many tracks this radio has begun.
    playing: what sounds now, or what sounded last.
    silent: nothing sounds now.
    asked: the listener waits for sound now, whatever comes after it.
    filler: the bundled model is there to make a short track fast.
    fits: one more track fits into the cache beside what must stay in it.
    """

    programme: Programme
    made: int = 0
    latest: str | None = None
    fillers_made: int = 0
    ready: tuple[str, ...] = ()
    making: bool = False
    making_eta_sec: float | None = None
    library: tuple[KnownTrack, ...] = ()
    played: int = 0
    playing: str | None = None
    silent: bool = True
    asked: bool = False
    filler: bool = False
    fits: bool = True
    retry_at: float = 0.0


@dataclass(frozen=True)
class Make:
    """Generate this.

    filler_sec: a track of this length with the bundled model, outside the programme. after: the
    track that it goes on from.
    """

    prompt: str
    seed: int
    filler_sec: float | None = None
    after: str | None = None


@dataclass(frozen=True)
class Play:
    """Play this next; `new` when it is a track of the programme that was never heard."""

    track_id: str
    new: bool


@dataclass(frozen=True)
class Wait:
    """There is nothing that may be played yet."""


def derived_seed(seed: int, number: int, purpose: str = "track") -> int:
    """The seed (unsigned, 64 bits) of a radio's track: SHA-256 over the radio's seed and number."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def prompt_at(programme: Programme, number: int) -> str:
    """The prompt of a track.

    Shuffled prompts come in rounds, each prompt once a round, and never twice in a row.
    """
    prompts = programme.prompts
    if programme.order == "cycle":
        return prompts[number % len(prompts)]
    turn, place = divmod(number, len(prompts))
    return _shuffled_round(programme, turn)[place]


def _shuffled_round(programme: Programme, turn: int) -> Sequence[str]:
    count = len(programme.prompts)
    if count <= 2:
        # Two prompts that never repeat can only alternate.
        turn = 0
    order = _permutation(programme, turn)
    # From three on, exchanging the first two leaves the last in place: one look back is enough.
    if turn > 0 and order[0] == _permutation(programme, turn - 1)[-1]:
        order[0], order[1] = order[1], order[0]
    return order


def _permutation(programme: Programme, turn: int) -> list[str]:
    order = list(programme.prompts)
    random.Random(derived_seed(programme.seed, turn, "shuffle")).shuffle(order)
    return order


def next_to_make(situation: Situation, now: float) -> Make | None:
    """What to generate now; None: nothing, enough is ready or on its way.

    With next to nothing to play, two short fillers come first: one to sound at once, and one so
    that it need not be repeated while the programme's first track is being made.
    """
    programme = situation.programme
    if programme.library is not None or situation.making or now < situation.retry_at:
        return None
    number = situation.fillers_made
    if situation.filler and len(situation.library) < 2 and number < len(FILLER_DURATIONS_SEC):
        seed = derived_seed(programme.seed, number, "filler")
        return Make(prompt_at(programme, number), seed, FILLER_DURATIONS_SEC[number])
    if len(situation.ready) >= programme.ahead or not situation.fits:
        return None
    number = situation.made
    after = situation.latest if programme.flow else None
    return Make(prompt_at(programme, number), derived_seed(programme.seed, number), after=after)


def next_to_play(situation: Situation) -> Play | Wait:
    """What follows the playing track (or breaks the silence): new tracks first, in their order.

    When the music is made slower than it is heard, the least recently heard track comes again, and
    never the one that plays. Only a listener who waits for sound hears the last one again, where
    there is no other.
    """
    if situation.programme.library is not None:
        return _from_the_library(situation) or Wait()
    choice = _new_track(situation) or _least_recently_heard(situation)
    if situation.silent and situation.asked:
        return choice or _the_last_again(situation) or Wait()
    if choice is None:
        return Wait()
    if situation.silent and not _can_go_on(situation, choice):
        return Wait()
    return choice


def _from_the_library(situation: Situation) -> Play | None:
    """The least recently heard track, or, shuffled, one of that half of them."""
    others = _by_age(track for track in situation.library if track.track_id != situation.playing)
    if not others:
        return _the_last_again(situation)
    if situation.programme.order == "cycle":
        return Play(others[0].track_id, new=False)
    older = others[: (len(others) + 1) // 2]
    number = derived_seed(situation.programme.seed, situation.played, "library")
    return Play(older[number % len(older)].track_id, new=False)


def _by_age(tracks: Iterable[KnownTrack]) -> list[KnownTrack]:
    """Never heard first, then the least recently heard."""
    never = float("-inf")
    return sorted(tracks, key=lambda track: never if track.last_heard is None else track.last_heard)


def _the_last_again(situation: Situation) -> Play | None:
    for track in situation.library:
        if track.track_id == situation.playing:
            return Play(track.track_id, new=False)
    return None


def _new_track(situation: Situation) -> Play | None:
    for track_id in situation.ready:
        if track_id != situation.playing:
            return Play(track_id, new=True)
    return None


def _least_recently_heard(situation: Situation) -> Play | None:
    older = _by_age(track for track in situation.library if track.track_id != situation.playing)
    return Play(older[0].track_id, new=False) if older else None


def _can_go_on(situation: Situation, choice: Play) -> bool:
    """Whether music, once begun with this track, need not fall silent again at its end.

    It need not when there is another track to go on with, or when what is being made will be there.
    """
    if any(track.track_id != choice.track_id for track in situation.library):
        return True
    if situation.making_eta_sec is None:
        return True
    durations = {track.track_id: track.duration_sec for track in situation.library}
    wait = situation.making_eta_sec * ESTIMATE_SLACK + ESTIMATE_SLACK_SEC
    return wait <= durations.get(choice.track_id, 0.0)


@dataclass
class RadioState:
    """What a running radio remembers.

    growing: what is being made can be heard already, and counts as ready. latest: the programme
    track that was made last.
    """

    programme: Programme
    made: int = 0
    latest: str | None = None
    fillers_made: int = 0
    played: int = 0
    ready: list[str] = field(default_factory=list[str])
    making: str | None = None
    growing: bool = False
    failures: int = 0
    retry_at: float = 0.0

    def begun(self, make: Make, track_id: str) -> None:
        self.making, self.growing = track_id, False
        if make.filler_sec is not None:
            self.fillers_made += 1
        else:
            self.made += 1

    def grows(self, track_id: str, *, filler: bool) -> None:
        """What is being made can be played already: as good as there."""
        self.growing = True
        if not filler:
            self.ready.append(track_id)

    def finished(self, track_id: str, *, filler: bool) -> None:
        """A track of the radio's is there. A filler only joins the library."""
        self.failures = 0
        if not filler:
            self.latest = track_id
            if not self.growing:
                self.ready.append(track_id)
        self.making, self.growing = None, False

    def failed(self, now: float) -> None:
        """Try the next number after a while, longer with every failure in a row."""
        if self.making is not None:
            self.gone(self.making)
        self.making, self.growing = None, False
        self.failures += 1
        self.retry_at = now + min(2.0**self.failures, 60.0)

    @property
    def needed(self) -> frozenset[str]:
        """The tracks that have to be heard yet, or gone on from."""
        going_on = {self.latest} if self.programme.flow and self.latest is not None else set[str]()
        return frozenset({*self.ready, *going_on})

    def gone(self, track_id: str) -> None:
        """A track was heard, deleted or cannot be played: it is not ready any more."""
        if track_id in self.ready:
            self.ready.remove(track_id)
