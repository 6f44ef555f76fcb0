"""The small backend that is always here: it breaks the first silence, and steps in for a machine
elsewhere that is away."""

from __future__ import annotations

from lofi_daemon.backends.registry import Registry
from lofi_daemon.parameters import SoundParameters

# How long the machine that computes is left alone once it was not reached.
AWAY_SEC = 60.0


class StandIn:
    """Knows whether the machine that computes is away. `now` is in seconds of any one clock."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._away_until: float | None = None

    @property
    def backend(self) -> str | None:
        """A backend that makes short tracks at once on this machine; None where none is ready."""
        for backend in self._registry:
            if not backend.info.full_model and backend.info.is_here:
                available = backend.availability()
                if available.installed and available.error is None:
                    return backend.info.type
        return None

    def filler(self, sound: SoundParameters, duration_sec: float) -> SoundParameters:
        """A track to have something to hear soon, never longer than those that were asked for."""
        return SoundParameters(
            backend=self.backend, duration_sec=min(duration_sec, sound.duration_sec)
        )

    def replaces(self, sound: SoundParameters, now: float) -> SoundParameters:
        """The same with the backend that is here, as long as the other machine is left alone."""
        name = self.backend
        if name is None or self._away_until is None or now >= self._away_until:
            return sound
        info = self._registry.get(name).info
        longest = min(sound.duration_sec, info.max_duration_sec)
        return SoundParameters(
            backend=name, duration_sec=max(longest, info.min_duration_sec), seed=sound.seed
        )

    def step_in(self, now: float) -> bool:
        """Leave the other machine alone for a while; whether this is news."""
        news = self._away_until is None
        self._away_until = now + AWAY_SEC
        return news

    def made(self, backend: str) -> None:
        """A track is there. If another machine made it, that machine is back."""
        if not self._registry.get(backend).info.is_here:
            self._away_until = None

    def step_back(self) -> None:
        """Forget that the other machine was away."""
        self._away_until = None
