"""What sounds: the decks that play, cross over and fall silent, rendered block by block.

Like a disc jockey's table: one deck plays, one waits with the next track, and decks on their way
out fade beneath. The device asks for blocks from its own thread (`render`); everything else comes
from the player's main thread. One short lock keeps them apart; files are opened and decoded
outside it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lofi_daemon.player.join import Join
from lofi_daemon.player.mixer import (
    RAMP_SEC,
    Block,
    Gains,
    Ramp,
    crossfade_frames,
    equal_power_gains,
    equal_power_retarget,
    mix,
    smooth_gains,
    smooth_retarget,
    steady,
)
from lofi_daemon.player.reports import Ended, PlayerReport, Started, Stopped
from lofi_daemon.player.source import TrackSource

# A gain that is known late is reached in this time.
LEVEL_SEC = 8.0
# A deck that ran dry goes on when so much is there, or the rest.
GO_ON_SEC = 2.0


@dataclass
class Deck:
    """A track on the table. `entry` is the daemon's number for this turn of the track.

    `swell` is a factor on its way to 1, while the gain changes. `flow` is one that lets the sound
    through: 0 while the deck `waits` for more of its track. settled_gain: what its gain is once the
    track is read from another file. join: where it goes on from the one before, and no cross-over
    is made. in_music: it begins in the midst of music, and where it does not join it comes in on a
    ramp.
    """

    entry: int
    source: TrackSource
    gain: float = 1.0
    fade: Ramp = field(default_factory=lambda: steady(1.0))
    swell: Ramp = field(default_factory=lambda: steady(1.0))
    flow: Ramp = field(default_factory=lambda: steady(1.0))
    waits: bool = False
    settled_gain: float | None = None
    join: Join | None = None
    in_music: bool = False

    def settle(self, path: Path, gain: float) -> None:
        """The track is whole, in that file; what is open of the growing one is played on."""
        self.source.path, self.source.growth = path, None
        self.settled_gain = gain

    def over(self, source: TrackSource) -> Deck:
        """The same turn over another reading of its track."""
        return Deck(
            self.entry,
            source,
            self.gain if self.settled_gain is None else self.settled_gain,
            join=self.join,
        )

    def go_on_from(self, before: Deck, frames: int) -> None:
        """Take over at the level of the one before, and go from it to this one's own."""
        level = before.gain * float(smooth_gains(before.swell, 1)[0])
        if self.gain > 0.0 and level != self.gain:
            self.swell = Ramp(level / self.gain, 1.0, frames)

    def next_gains(self, frames: int) -> Gains:
        """The gains of the next frames, which are then past."""
        gains = equal_power_gains(self.fade, frames) * self.gain
        if not self.swell.finished:
            gains *= smooth_gains(self.swell, frames)
        if not self.flow.finished:
            gains *= smooth_gains(self.flow, frames)
        self.fade, self.swell = self.fade.advanced(frames), self.swell.advanced(frames)
        self.flow = self.flow.advanced(frames)
        return gains


class Decks:
    def __init__(self, sample_rate: int, *, volume: float, crossfade_sec: float) -> None:
        self.sample_rate = sample_rate
        self.crossfade_sec = crossfade_sec
        self.underruns = 0
        self.reports: deque[PlayerReport] = deque()
        self.retired: deque[TrackSource] = deque()
        self._lock = threading.Lock()
        self._playing: Deck | None = None
        self._next: Deck | None = None
        self._leaving: list[Deck] = []
        self._volume = steady(volume)
        self._transport = steady(1.0)

    @property
    def playing(self) -> Deck | None:
        return self._playing

    @property
    def next(self) -> Deck | None:
        return self._next

    @property
    def paused(self) -> bool:
        return self._transport.end == 0.0

    @property
    def silent(self) -> bool:
        """Whether nothing moves any more: paused or empty, and the last ramp is over."""
        return self._at_rest() or (self._playing is None and not self._leaving)

    def sources(self) -> list[TrackSource]:
        """Every source that still needs to be read ahead, the most urgent first."""
        decks = [self._playing, *self._leaving, self._next]
        return [deck.source for deck in decks if deck is not None]

    # -- commands ------------------------------------------------------------------------------

    def play(self, deck: Deck, *, crossfade: bool) -> None:
        """Put a track on and let it sound now; what played before leaves."""
        with self._lock:
            self._wake()
            self._switch_to(deck, "skipped", crossfade=crossfade)

    def set_next(self, deck: Deck | None) -> None:
        """What comes when the playing track ends; None: silence."""
        with self._lock:
            self._retire(self._next)
            self._next = deck

    def skip(self) -> None:
        """Cross over to the next track at once; with none, fade out and stop."""
        with self._lock:
            if self._playing is None:
                return
            self._wake()
            following, self._next = self._next, None
            self._switch_to(following, "skipped", crossfade=True)

    def seek(self, deck: Deck) -> None:
        """Go on in the same track elsewhere: a short cross-over to a second reading of it."""
        with self._lock:
            playing = self._playing
            if playing is None or playing.entry != deck.entry:
                self._retire(deck)
                return
            ramp = self._ramp_frames()
            deck.fade = Ramp(0.0, 1.0, ramp)
            self._let_go(playing, ramp)
            self._playing = deck

    def level(self, entry: int, gain: float) -> None:
        """Bring the playing track to another gain, too slowly to be noticed."""
        with self._lock:
            playing = self._playing
            if playing is not None and playing.entry == entry and gain > 0.0:
                now = playing.gain * float(smooth_gains(playing.swell, 1)[0])
                playing.gain = gain
                playing.swell = Ramp(now / gain, 1.0, self._level_frames())

    def pause(self) -> None:
        with self._lock:
            self._transport = self._ramped(self._transport, 0.0)

    def resume(self) -> None:
        with self._lock:
            self._transport = self._ramped(self._transport, 1.0)

    def stop(self) -> None:
        """Silence within one ramp; the table is cleared."""
        with self._lock:
            self._retire(self._next)
            self._next = None
            for deck in self._leaving:
                deck.fade = equal_power_retarget(deck.fade, 0.0, self._ramp_frames())
            if self._playing is not None:
                self._end(self._playing, "stopped", None)
                self._let_go(self._playing, self._ramp_frames())
                self._playing = None
            self.reports.append(Stopped())
            if self._at_rest():
                self._wake()

    def set_volume(self, volume: float, seconds: float = RAMP_SEC) -> None:
        with self._lock:
            frames = round(seconds * self.sample_rate)
            self._volume = smooth_retarget(self._volume, volume, frames)

    def leave(self, entry: int, reason: str, message: str | None) -> None:
        """A track that grew will never be whole: it goes within a ramp, and the next one comes."""
        with self._lock:
            if self._next is not None and self._next.entry == entry:
                self._retire(self._next)
                self._next = None
            playing = self._playing
            if playing is None or playing.entry != entry:
                return
            self._end(playing, reason, message)
            if self._at_rest():
                self._retire(playing)
            else:
                self._let_go(playing, self._ramp_frames())
            self._bring_in_next(fade_frames=self._ramp_frames())

    def settle(self, entry: int, path: Path, gain: float) -> Deck | None:
        """A track that grew is whole now: its deck, if it is on the table and no leaving one."""
        with self._lock:
            for deck in (self._playing, self._next):
                if deck is not None and deck.entry == entry:
                    deck.settle(path, gain)
                    return deck
            return None

    def take_over(
        self, other: Decks, reopen: Callable[[TrackSource, int, float], TrackSource]
    ) -> None:
        """Go on with what is on another table, of another sample rate, where it is.

        `reopen(source, sample_rate, position_sec)` is a second reading; what is fading out is left
        behind.
        """

        def moved(deck: Deck | None) -> Deck | None:
            if deck is None:
                return None
            position_sec = deck.source.position / other.sample_rate
            return deck.over(reopen(deck.source, self.sample_rate, position_sec))

        self._playing, self._next = moved(other._playing), moved(other._next)
        self._transport = steady(other._transport.end)
        self.underruns, self.reports = other.underruns, other.reports

    # -- rendering -----------------------------------------------------------------------------

    def render(self, frames: int) -> Block:
        """The next block for the device: float32 [frames, 2]."""
        with self._lock:
            volume = smooth_gains(self._volume, frames) * smooth_gains(self._transport, frames)
            # what a pause silences is not read, so that resuming loses no sample
            audible = self._transport.remaining(frames) if self.paused else frames
            self._volume = self._volume.advanced(frames)
            self._transport = self._transport.advanced(frames)
            block = mix([], [], frames)
            for start, end in self._stretches(audible):
                block[start:end] = self._render_stretch(end - start)
            block *= volume[:, None]
            return block

    def _stretches(self, frames: int) -> Iterator[tuple[int, int]]:
        """Cut a block where one track hands over to the next, and hand over there."""
        start = 0
        while start < frames:
            self._hand_over()
            length = frames - start
            if self._playing is not None:
                length = min(length, max(1, self._frames_until_hand_over(self._playing)))
            yield start, start + length
            start += length
        self._hand_over()

    def _frames_until_hand_over(self, playing: Deck) -> int:
        joins_in = self._joins_in(playing)
        if joins_in is not None:
            return joins_in
        remaining = playing.source.remaining
        crossfade = self._crossfade_into_next(playing)
        return remaining - crossfade if remaining > crossfade else remaining

    def _joins_in(self, playing: Deck) -> int | None:
        """Frames until the next track goes on from this one; None where it does not any more."""
        join = None if self._next is None else self._next.join
        if join is None or join.entry != playing.entry:
            return None
        if join.position_sec is None:
            return playing.source.remaining
        left = round(join.position_sec * self.sample_rate) - playing.source.position
        return left if left >= 0 else None

    def _crossfade_into_next(self, playing: Deck) -> int:
        if self._next is None or self._joins_in(playing) is not None:
            return 0
        return crossfade_frames(
            self.crossfade_sec,
            self.sample_rate,
            playing.source.total_frames,
            self._next.source.total_frames,
        )

    def _hand_over(self) -> None:
        """Let the next track in when the playing one is over, or short enough of its end."""
        playing = self._playing
        if playing is None:
            return
        joined = self._joins_in(playing) == 0
        if joined or playing.source.exhausted:
            failure = playing.source.failure
            reason, message = ("error", failure.message) if failure else ("finished", None)
            self._end(playing, reason, message)
            self._retire(playing)
            if joined and self._next is not None:
                self._next.go_on_from(playing, self._level_frames())
            self._bring_in_next(fade_frames=0 if joined else self._entry_frames(self._next))
            return
        if self._next is None:
            return
        remaining = playing.source.remaining
        crossfade = min(self._crossfade_into_next(playing), remaining)
        if crossfade > 0 and remaining <= crossfade:
            self._end(playing, "finished", None)
            self._let_go(playing, crossfade)
            self._bring_in_next(fade_frames=crossfade)

    def _end(self, playing: Deck, reason: str, message: str | None) -> None:
        self.reports.append(Ended(playing.entry, reason, message))

    def _bring_in_next(self, fade_frames: int) -> None:
        following, self._next = self._next, None
        self._playing = None
        if following is None:
            self.reports.append(Stopped())
            return
        following.fade = _rising(fade_frames)
        self._begin(following)

    def _begin(self, deck: Deck) -> None:
        self._playing = deck
        source = deck.source
        self.reports.append(
            Started(deck.entry, source.position / self.sample_rate, source.duration_sec)
        )

    def _render_stretch(self, frames: int) -> Block:
        blocks: list[Block] = []
        gains: list[Gains] = []
        decks = [*self._leaving, self._playing] if self._playing else list(self._leaving)
        for deck in decks:
            blocks.append(self._next_block(deck, frames))
            gains.append(deck.next_gains(frames))
        for deck in self._leaving:
            if deck.fade.finished or deck.source.exhausted:
                self._retire(deck)
        self._leaving = [
            deck for deck in self._leaving if not (deck.fade.finished or deck.source.exhausted)
        ]
        return mix(blocks, gains, frames)

    def _next_block(self, deck: Deck, frames: int) -> Block:
        """What the deck has for the next frames, fewer where it runs dry.

        Then it falls silent on a ramp, and waits until there is enough to go on with.
        """
        source, ramp = deck.source, self._ramp_frames()
        if deck.waits:
            enough = source.buffered >= GO_ON_SEC * self.sample_rate
            if not enough and not source.decoded_to_its_end:
                return source.read(0)
            deck.waits, deck.flow = False, Ramp(0.0, 1.0, ramp)
        elif source.buffered < frames + ramp and not source.decoded_to_its_end:
            self.underruns += 1
            frames = min(ramp, frames, source.buffered)
            deck.waits, deck.flow = True, smooth_retarget(deck.flow, 0.0, frames)
        return source.read(frames)

    # -- with the lock held --------------------------------------------------------------------

    def _at_rest(self) -> bool:
        return self.paused and self._transport.finished

    def _wake(self) -> None:
        """Let sound through again; what was frozen in a pause is not heard any more."""
        if not self._at_rest():
            self._transport = self._ramped(self._transport, 1.0)
            return
        self._transport = steady(1.0)
        for deck in self._leaving:
            self._retire(deck)
        self._leaving = []
        if self._playing is not None:
            self._end(self._playing, "skipped", None)
            self._retire(self._playing)
            self._playing = None

    def _switch_to(self, deck: Deck | None, reason: str, *, crossfade: bool) -> None:
        playing = self._playing
        fade = self._ramp_frames()
        if playing is not None:
            if crossfade:
                lengths = [playing.source.total_frames]
                if deck is not None:
                    lengths.append(deck.source.total_frames)
                wanted = crossfade_frames(self.crossfade_sec, self.sample_rate, *lengths)
                fade = max(fade, min(wanted, playing.source.remaining))
            self._end(playing, reason, None)
            self._let_go(playing, fade)
        self._playing = None
        if deck is None:
            self.reports.append(Stopped())
            return
        deck.fade = _rising(fade if playing is not None else self._entry_frames(deck))
        self._begin(deck)

    def _let_go(self, deck: Deck, frames: int) -> None:
        deck.fade = equal_power_retarget(deck.fade, 0.0, frames)
        self._leaving.append(deck)

    def _retire(self, deck: Deck | None) -> None:
        """Leave the source to the feeder, who alone closes files."""
        if deck is not None:
            self.retired.append(deck.source)

    def _entry_frames(self, deck: Deck | None) -> int:
        """How long a track takes to come in out of silence."""
        return self._ramp_frames() if deck is not None and deck.in_music else 0

    def _level_frames(self) -> int:
        return round(LEVEL_SEC * self.sample_rate)

    def _ramp_frames(self) -> int:
        return round(RAMP_SEC * self.sample_rate)

    def _ramped(self, ramp: Ramp, end: float) -> Ramp:
        return smooth_retarget(ramp, end, self._ramp_frames())


def _rising(frames: int) -> Ramp:
    """A fade from silence in so many frames, with none of them at full level at once."""
    return Ramp(0.0, 1.0, frames) if frames else steady(1.0)
