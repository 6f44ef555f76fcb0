"""A track's sound while it is being made: a stream of pieces whose whole length is known.

A backend says what it knows of the sound (`SoundFacts`) and then hands on piece after piece. Who
wants the whole joins them (`clip.join_to_length`); who wants to hear it takes them as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound.clip import Samples


@dataclass(frozen=True)
class Outline:
    """Energies of the K-weighted sound, one for every `hop_sec` of it, up to a common factor."""

    energies: NDArray[np.float64]
    hop_sec: float

    def mean_until(self, seconds: float) -> float:
        """The mean energy of that much from the beginning."""
        edges = np.arange(len(self.energies) + 1) * self.hop_sec
        sums = np.concatenate(([0.0], np.cumsum(self.energies) * self.hop_sec))
        return float(np.interp(seconds, edges, sums)) / max(seconds, 1e-9)


@dataclass(frozen=True)
class SoundFacts:
    """What is known of a sound before its first sample.

    frames: of the finished track. pieces: about how many frames each piece will have. outline: how
    loud it will be from moment to moment, None where that cannot be foretold. The rest says how the
    finished track is made of the pieces, but for its level: high_pass_hz, None for none, and the
    fades at both ends.
    """

    sample_rate: int
    channels: int
    frames: int
    pieces: tuple[int, ...] = ()
    outline: Outline | None = None
    high_pass_hz: float | None = None
    fade_in_sec: float = 0.0
    fade_out_sec: float = 0.05


class Listener(Protocol):
    """Who hears a sound while it is made, in the thread that makes it."""

    def begin(self, facts: SoundFacts) -> None: ...

    def hear(self, piece: Samples) -> None:
        """The next piece, float32 [channels, n], which may be overwritten afterwards."""
        ...


def overheard(
    pieces: Iterable[Samples], facts: SoundFacts, listener: Listener | None
) -> Iterator[Samples]:
    """The pieces as they are; the listener, if there is one, hears each before it is handed on."""
    if listener is not None:
        listener.begin(facts)
    for piece in pieces:
        if listener is not None:
            listener.hear(piece)
        yield piece
