"""A radio on a simulated clock: real decisions, a pretended generator, player and cache."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lofi_daemon.radio.programme import (
    KnownTrack,
    Make,
    Play,
    Programme,
    RadioState,
    Situation,
    next_to_make,
    next_to_play,
)

DAY_SEC = 86_400.0
BYTES_PER_SEC = 176_400
LOOK_AGAIN_SEC = 1.0


@dataclass
class CachedTrack:
    duration_sec: float
    last_used: float
    last_heard: float | None = None


@dataclass
class SimulationResult:
    """What happened in the simulated time."""

    speed: float
    ahead: int
    first_sound_sec: float = -1.0
    silent_sec: float = 0.0
    played: int = 0
    new_played: int = 0
    immediate_repeats: int = 0
    most_bytes: int = 0
    max_bytes: int = 0
    short_of_ahead_sec: float = 0.0
    user_tracks: int = 0
    longest_user_wait_sec: float = 0.0
    order_kept: bool = True

    def check(self) -> None:
        assert self.first_sound_sec >= 0
        assert self.silent_sec == 0.0, self
        assert self.immediate_repeats == 0, self
        assert self.most_bytes <= self.max_bytes, self
        assert self.order_kept
        assert self.played > 50
        assert self.new_played > 5
        if self.speed > 1.5 and self.user_tracks == 0:
            # a new track begins, and one is short for as long as making the next one takes
            assert self.short_of_ahead_sec <= (self.played + 4) * 90 / self.speed
            assert self.new_played >= self.played - 6


@dataclass
class Simulation:
    """Time jumps from event to event: a track is made, a track ends, the listener wants one."""

    speed: float
    filler: bool
    filler_speed: float
    user_every_sec: float | None
    track_sec: float = 90.0
    tracks_that_fit: int = 8
    programme: Programme = field(
        default_factory=lambda: Programme(("a", "b", "c", "d"), 1, "shuffle", 2)
    )

    def run(self, duration_sec: float) -> SimulationResult:
        chance = random.Random(5)
        max_bytes = round(self.tracks_that_fit * self.track_sec * BYTES_PER_SEC)
        result = SimulationResult(self.speed, self.programme.ahead, max_bytes=max_bytes)
        state = RadioState(self.programme)
        cache: dict[str, CachedTrack] = {}
        self._cache, self._state = cache, state
        queue: list[tuple[str, Make | None, float, float]] = []  # id, what, duration, asked at
        job: tuple[str, Make | None, float, float, float] | None = None  # … and ends at
        playing: str | None = None
        last: str | None = None
        ends_at = 0.0
        number = 0
        heard_new: list[str] = []
        now, user_next = 0.0, self.user_every_sec or float("inf")

        def situation() -> Situation:
            known = tuple(KnownTrack(i, t.duration_sec, t.last_heard) for i, t in cache.items())
            protected = {*state.ready, *([playing] if playing else [])}
            staying = sum(cache[i].duration_sec for i in protected if i in cache) * BYTES_PER_SEC
            eta = None
            if job is not None and state.making is not None:
                mine = [job] if job[1] is not None else []
                waiting = sum(self._takes(make, sec) for _, make, sec, _ in queue)
                guess = chance.uniform(0.75, 1.3)
                eta = max(0.0, (job[4] - now) + (0.0 if mine else waiting)) * guess
            return Situation(
                self.programme,
                made=state.made,
                fillers_made=state.fillers_made,
                ready=tuple(state.ready),
                making=state.making is not None,
                making_eta_sec=eta,
                library=known,
                playing=last,
                silent=playing is None,
                filler=self.filler,
                fits=staying + self.track_sec * BYTES_PER_SEC <= max_bytes,
                retry_at=state.retry_at,
            )

        while now < duration_sec:
            if now >= user_next:
                user_next += self.user_every_sec or 0.0
                number += 1
                first_mine = next((i for i, q in enumerate(queue) if q[1] is not None), len(queue))
                queue.insert(first_mine, (f"user-{number}", None, self.track_sec, now))
            make = next_to_make(situation(), now)
            if make is not None:
                number += 1
                duration = make.filler_sec or self.track_sec
                state.begun(make, f"{'filler' if make.filler_sec else 'new'}-{number:06d}")
                queue.append((state.making or "", make, duration, now))
            if job is None and queue:
                identity, what, duration, asked = queue.pop(0)
                job = (identity, what, duration, asked, now + self._takes(what, duration))
                if what is None:
                    result.longest_user_wait_sec = max(result.longest_user_wait_sec, now - asked)
            if job is not None and now >= job[4]:
                identity, what, duration, _, _ = job
                job = None
                cache[identity] = CachedTrack(duration, now)
                if what is not None:
                    state.finished(identity, filler=what.filler_sec is not None)
                else:
                    result.user_tracks += 1
                self._evict(max_bytes, {identity, *state.ready, *([playing] if playing else [])})
                continue
            if playing is None or now >= ends_at:
                playing = None
                choice = next_to_play(situation())
                if isinstance(choice, Play):
                    assert choice.track_id in cache
                    result.immediate_repeats += choice.track_id == last
                    playing = last = choice.track_id
                    if choice.track_id in state.ready:
                        result.new_played += 1
                        heard_new.append(choice.track_id)
                        state.gone(choice.track_id)
                    track = cache[choice.track_id]
                    track.last_heard = track.last_used = now
                    ends_at = now + track.duration_sec
                    result.played += 1
                    if result.first_sound_sec < 0:
                        result.first_sound_sec = now
                    continue
            used = round(sum(track.duration_sec for track in cache.values()) * BYTES_PER_SEC)
            result.most_bytes = max(result.most_bytes, used)
            later = [duration_sec, user_next]
            later += [job[4]] if job is not None else []
            # a radio that waits looks again every second; one that has nothing to make, too
            later += [ends_at] if playing is not None else [now + LOOK_AGAIN_SEC]
            passed = max(min(later) - now, 0.0)
            if result.first_sound_sec >= 0:
                result.silent_sec += passed if playing is None else 0.0
                result.short_of_ahead_sec += passed if self._is_short(state) else 0.0
            now += passed
        result.order_kept = heard_new == sorted(heard_new)
        return result

    def _is_short(self, state: RadioState) -> bool:
        return len(state.ready) < self.programme.ahead

    def _takes(self, make: Make | None, duration_sec: float) -> float:
        filler = make is not None and make.filler_sec is not None
        return duration_sec / (self.filler_speed if filler else self.speed)

    def _evict(self, max_bytes: int, protected: set[str]) -> None:
        """The least recently used go first, as in the track cache."""
        by_age = sorted(self._cache, key=lambda identity: self._cache[identity].last_used)
        for identity in by_age:
            used = sum(track.duration_sec for track in self._cache.values()) * BYTES_PER_SEC
            if used <= max_bytes:
                return
            if identity not in protected:
                del self._cache[identity]


def simulate(
    speed: float, *, filler: bool, duration_sec: float, user_every_sec: float | None = None
) -> SimulationResult:
    """A radio from an empty cache. speed: seconds of music made a second."""
    filler_speed = max(1.5, 4 * speed)
    return Simulation(speed, filler, filler_speed, user_every_sec).run(duration_sec)
