"""What is told of a job: how far it is, and then one last word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.backends.protocol import Phase, Understood
from lofi_daemon.errors import LofiError
from lofi_daemon.tracks import Track
from lofi_daemon.tracks.growing import GrowingTrack


@dataclass(frozen=True)
class JobAdvanced:
    """Where a running job stands: percent of its time from 0 to 99, eta in seconds.

    step and total_steps count solver iterations (tokens, for a model that decodes tokens).
    """

    track_id: str
    prompt: str
    percent: int
    step: int
    total_steps: int
    eta_sec: float
    phase: Phase
    counts_tokens: bool = False


@dataclass(frozen=True)
class JobAudible:
    """What there is of the track may be played: the rest will be there before it is heard."""

    track: GrowingTrack

    @property
    def track_id(self) -> str:
        return self.track.track_id


@dataclass(frozen=True)
class JobCompleted:
    """The track is at `path`. generation_time_sec is 0 when it was there before.

    understood: what the backend read from the prompt, where it says so. warning: why the path is
    not in the folder of tracks, where it is not.
    """

    track: Track
    path: Path
    generation_time_sec: float
    understood: Understood | None = None
    warning: str | None = None

    @property
    def track_id(self) -> str:
        return self.track.track_id


@dataclass(frozen=True)
class JobFailed:
    track_id: str
    error: LofiError


@dataclass(frozen=True)
class JobCancelled:
    track_id: str
    step: int
    total_steps: int


LastWord = JobCompleted | JobFailed | JobCancelled
JobEvent = JobAdvanced | JobAudible | LastWord
