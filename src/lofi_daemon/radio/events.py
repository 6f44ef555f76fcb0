"""What a radio tells of itself, and what can be asked of it at any time."""

from __future__ import annotations

from dataclasses import dataclass

from lofi_daemon.errors import LofiError
from lofi_daemon.parameters import SoundParameters
from lofi_daemon.radio.programme import Programme, RadioState


@dataclass(frozen=True)
class RadioWaiting:
    """The next new track is late; `replaying` is the older one that plays meanwhile, if any."""

    ready: int
    eta_sec: float | None
    replaying: str | None


@dataclass(frozen=True)
class RadioFallback:
    """The machine that computes is away: for a while this backend, which is here, makes the tracks.

    Told once, until that machine has made a track again.
    """

    backend: str
    error: LofiError


RadioEvent = RadioWaiting | RadioFallback


@dataclass(frozen=True)
class RadioStatus:
    """unplayable: tracks that could not be played, which this radio leaves out."""

    preset: str | None
    state: RadioState
    sound: SoundParameters
    unplayable: frozenset[str] = frozenset()

    @property
    def programme(self) -> Programme:
        return self.state.programme

    @property
    def ready(self) -> int:
        return len(self.state.ready)
